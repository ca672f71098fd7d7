// The workflow in the editor: the file itself, with nodes and links under their ids. Nothing that a file holds is
// interpreted away, so what Darkroom does not know survives. Values are never changed, only replaced (changes.ts).

/** A JSON value; whole numbers beyond 2^53, such as seeds, are bigints. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json | undefined };

/** The id of a node within its graph, as text: files have numbers, and old ones names. */
export type NodeId = string;
export type LinkId = string;
/** Which graph: ROOT, or the id of a subgraph's definition. */
export type GraphId = string;
export const ROOT: GraphId = "";

/** The ends of a subgraph's own inputs and outputs, as links name them (CONTRACT 3.3). */
export const SUBGRAPH_INPUT: NodeId = "-10";
export const SUBGRAPH_OUTPUT: NodeId = "-20";

export type Point = readonly [x: number, y: number];

export type InputSlot = JsonObject & {
  readonly name: string;
  readonly type: Json;
  readonly link?: number | string | null;
  readonly widget?: JsonObject & { readonly name: string };
  readonly label?: string;
};

export type OutputSlot = JsonObject & {
  readonly name: string;
  readonly type: Json;
  readonly links?: readonly (number | string)[] | null;
  readonly label?: string;
};

/** 0 runs, 2 is muted, 4 is bypassed; 1 and 3 run like 0. */
export type Mode = number;
export const RUNS = 0;
export const MUTED = 2;
export const BYPASSED = 4;

/** A node as the file has it. Read it by view.ts, which knows the forms that files use. */
export type Node = JsonObject & {
  readonly id: number | string;
  readonly type: string;
  readonly pos?: Json;
  readonly size?: Json;
  readonly flags?: JsonObject;
  readonly mode?: Mode;
  readonly inputs?: readonly InputSlot[];
  readonly outputs?: readonly OutputSlot[];
  readonly title?: string;
  readonly color?: string;
  readonly bgcolor?: string;
  readonly properties?: JsonObject;
  readonly widgets_values?: readonly Json[] | JsonObject;
};

/** A wire. `raw` is what the file had, kept while nothing about the link changes. */
export interface Link {
  readonly id: number | string;
  readonly origin: NodeId;
  readonly originSlot: number;
  readonly target: NodeId;
  readonly targetSlot: number;
  readonly type: Json;
  readonly raw?: Json;
}

export type Group = JsonObject & {
  readonly title?: string;
  readonly bounding?: Json;
  readonly color?: string;
};

/** One level of a workflow. `rest` is everything that stands beside nodes, links and groups in the file. */
export interface Graph {
  readonly nodes: Readonly<Record<NodeId, Node>>;
  readonly order: readonly NodeId[];
  readonly links: Readonly<Record<LinkId, Link>>;
  readonly groups: readonly Group[];
  readonly rest: JsonObject;
}

/** All graphs of a workflow by id: the root and the definitions of its subgraphs, in the file's order. */
export interface Workflow {
  readonly graphs: Readonly<Record<GraphId, Graph>>;
  readonly definitions: readonly GraphId[];
}
