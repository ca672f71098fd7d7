// What made a picture: the workflow, the seeds and other values of the job.

import type { Change } from "@/document/changes";
import { readEditorForm } from "@/document/editor_form";
import { setWidget } from "@/document/edits/set_widget";
import { definitionOf, widgetsOf } from "@/document/node_widgets";
import { type Json, type JsonObject, type Node, ROOT } from "@/document/types";
import { useServer } from "@/store/server";
import { text } from "@/store/text";
import { tell } from "@/store/view";
import { activeTab, edit, openTab, useWorkflows } from "@/store/workflows";
import { send } from "./client";
import type { JobDetail } from "./types.gen";
import { readFile } from "./workflow";

const SEEDS = ["seed", "noise_seed"];
const TOLD = [...SEEDS, "steps", "cfg", "sampler_name", "scheduler", "denoise", "width", "height", "text"];
const MODELS = /^(ckpt|unet|lora|vae|clip|control_net|model)_name\d*$/;

/** The values that are told of a picture: name and value. */
export function factsOf(detail: JobDetail): (readonly [string, string])[] {
  const found = inputsOf(detail).flatMap(([, inputs]) =>
    Object.entries(inputs).flatMap(([name, value]) =>
      (TOLD.includes(name) || MODELS.test(name)) && !Array.isArray(value) && value !== ""
        ? [[name, String(value)] as const]
        : [],
    ),
  );
  const rank = ([name]: readonly [string, string]) => (MODELS.test(name) ? -1 : TOLD.indexOf(name));
  const once = new Map(found.map((each) => [each.join("\0"), each]));
  return [...once.values()].sort((a, b) => rank(a) - rank(b));
}

/** The seeds of a job by node and name. */
export function seedsOf(detail: JobDetail): { readonly node: string; readonly name: string; readonly value: Json }[] {
  return inputsOf(detail).flatMap(([node, inputs]) =>
    SEEDS.flatMap((name) => {
      const value = inputs[name];
      return typeof value === "number" || typeof value === "bigint" ? [{ node, name, value }] : [];
    }),
  );
}

/** Set the seeds of the open workflow to those of a job, where it has such nodes; how many. */
export function takeSeeds(detail: JobDetail): number {
  const tab = activeTab(useWorkflows.getState());
  if (!tab) return 0;
  const { definitions } = useServer.getState();
  const changes: Change[] = [];
  let count = 0;
  for (const { node: id, name, value } of seedsOf(detail)) {
    const path = id.split(":");
    const last = path.pop() ?? "";
    const graph = path.reduce((found, each) => tab.workflow.graphs[found]?.nodes[each]?.type ?? "?", ROOT);
    const node: Node | undefined = tab.workflow.graphs[graph]?.nodes[last];
    const definition = node && definitionOf(node, tab.workflow, definitions);
    const widget =
      node && definition && widgetsOf(node, definition, tab.workflow).find((each) => each.input.name === name);
    if (!widget) continue;
    changes.push(...setWidget(tab.workflow, graph, last, widget.place, value));
    count += 1;
  }
  edit(changes);
  return count;
}

/** Open the workflow that made a picture in a tab of its own: as the job had it, else as the picture has it. */
export async function loadWorkflow(url: string, name: string, detail?: JobDetail): Promise<void> {
  const sent = (detail?.workflow.extra_data.extra_pnginfo as JsonObject | undefined)?.workflow;
  if (sent !== undefined) {
    openTab(readEditorForm(sent), name);
    return;
  }
  const { workflow, notes } = await readFile(new File([await (await send(url)).blob()], name));
  openTab(readEditorForm(workflow), name);
  if (notes.length > 0) tell([text("lightbox.notes"), ...notes].join("\n"));
}

const inputsOf = (detail: JobDetail): (readonly [string, JsonObject])[] =>
  Object.entries(detail.workflow.prompt).map(([id, node]) => [id, ((node as JsonObject).inputs ?? {}) as JsonObject]);
