// What the server's node classes are: /object_info as the editor uses it.
import type { Json, JsonObject } from "./types";

/** One input of a node class. */
export interface InputDefinition {
  readonly name: string;
  /** The name that is shown, in the language of the definitions. */
  readonly label: string;
  /** "MODEL", "INT", "COMBO", "A,B", "*" … */
  readonly type: string;
  readonly required: boolean;
  /** Whether a value can be typed in, as opposed to links only. */
  readonly isWidget: boolean;
  /** The choices of a COMBO; else empty. */
  readonly choices: readonly Json[];
  /** Everything the class says beside: default, min, max, step, multiline, tooltip, image_upload … */
  readonly options: JsonObject;
}

export interface OutputDefinition {
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
  readonly tooltip?: string;
}

export interface NodeDefinition {
  readonly type: string;
  readonly title: string;
  readonly category: string;
  readonly description: string;
  readonly inputs: readonly InputDefinition[];
  readonly outputs: readonly OutputDefinition[];
  readonly isOutput: boolean;
  readonly isDeprecated: boolean;
  readonly isExperimental: boolean;
  /** The module that the class is from: "nodes", "custom_nodes.example" … */
  readonly module: string;
}

export type Definitions = ReadonlyMap<string, NodeDefinition>;
