// What the hand does on the canvas, as edits of the open graph.

import type { Change } from "@/document/changes";
import type { InputDefinition } from "@/document/definitions";
import { connect } from "@/document/edits/connect";
import { disconnect } from "@/document/edits/disconnect";
import { move } from "@/document/edits/move";
import { remove } from "@/document/edits/remove";
import { resize } from "@/document/edits/resize";
import { setWidget } from "@/document/edits/set_widget";
import { canConnect } from "@/document/match";
import { definitionOf } from "@/document/node_widgets";
import type { Json, NodeId, Point, Workflow } from "@/document/types";
import { inputsOf } from "@/document/view";
import { useServer } from "@/store/server";
import { activeTab, edit, shownGraph, useWorkflows } from "@/store/workflows";
import { HEADER } from "./geometry";

function change(make: (workflow: Workflow, graph: string) => readonly Change[], key?: string): void {
  const tab = activeTab(useWorkflows.getState());
  if (tab) edit(make(tab.workflow, shownGraph(tab)), key);
}

/** Nodes were dragged to places of React Flow: the corner of the header. */
export function dragged(places: ReadonlyMap<NodeId, Point>): void {
  const moved = new Map([...places].map(([id, [x, y]]): [NodeId, Point] => [id, [x, y + HEADER]]));
  change((workflow, graph) => move(workflow, graph, moved));
}

export const resized = (node: NodeId, width: number, height: number): void =>
  change((workflow, graph) => resize(workflow, graph, node, [width, height - HEADER]));

export const widgetSet = (node: NodeId, input: InputDefinition, place: number | string, value: Json): void =>
  change((workflow, graph) => setWidget(workflow, graph, node, place, value), `widget:${node}:${input.name}`);

export interface End {
  readonly node: NodeId;
  readonly slot: number;
}

/** Whether a wire may go there: its types fit, and it makes no circle. */
export function mayConnect(output: End, node: NodeId, name: string): boolean {
  const tab = activeTab(useWorkflows.getState());
  return tab !== undefined && canConnect(tab.workflow, shownGraph(tab), output, { node, name });
}

/** A wire was drawn; what was in the input before is gone. */
export const connected = (output: End, node: NodeId, name: string): void =>
  change((workflow, graph) => connect(workflow, graph, output, { node, name }));

/** A wire was dropped on a node: it goes to the first free input that it fits. Whether there is one. */
export function connectedSomewhere(output: End, node: NodeId): boolean {
  const tab = activeTab(useWorkflows.getState());
  const found = tab?.workflow.graphs[shownGraph(tab)]?.nodes[node];
  if (!tab || !found) return false;
  const definition = definitionOf(found, tab.workflow, useServer.getState().definitions);
  const free = inputsOf(found, definition).filter((input) => input.link === undefined || input.link === null);
  const first = free.find((input) => mayConnect(output, node, input.name));
  if (first) connected(output, node, first.name);
  return first !== undefined;
}

export const unwired = (link: string): void => change((workflow, graph) => disconnect(workflow, graph, link));

export const removed = (nodes: readonly NodeId[]): void => change((workflow, graph) => remove(workflow, graph, nodes));
