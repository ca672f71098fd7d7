// The open workflows, a tab each, and the only place that changes them.
import { create } from "zustand";
import { apply, type Change } from "@/document/changes";
import { type Graph, type NodeId, ROOT, type Workflow } from "@/document/types";

/** One step that can be undone: what leads back, and what leads there again. */
interface Step {
  readonly undo: readonly Change[];
  readonly redo: readonly Change[];
  /** Steps of one key that follow each other within JOIN_MS are one. */
  readonly key?: string;
  readonly at: number;
}

export interface Selection {
  readonly nodes: ReadonlySet<NodeId>;
  readonly groups: ReadonlySet<number>;
  readonly links: ReadonlySet<string>;
}

export interface Tab {
  readonly id: string;
  readonly name: string;
  readonly workflow: Workflow;
  readonly past: readonly Step[];
  readonly future: readonly Step[];
  /** The workflow as it was saved last: another object means that something is not saved. */
  readonly saved: Workflow;
  /** The subgraph instances that lead to what is shown: [] is the root, ["5", "7"] is 7's inside within 5's. */
  readonly inside: readonly NodeId[];
  readonly selection: Selection;
}

export interface Workflows {
  readonly tabs: readonly Tab[];
  readonly active: string;
}

export const NOTHING: Selection = { nodes: new Set(), groups: new Set(), links: new Set() };
export const JOIN_MS = 800;
const MOST_STEPS = 500;

export const useWorkflows = create<Workflows>()(() => ({ tabs: [], active: "" }));

// ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export const activeTab = (state: Workflows): Tab | undefined => state.tabs.find((tab) => tab.id === state.active);

/** The id of the graph that a tab shows: instances lead from definition to definition. */
export function shownGraph(tab: Tab): string {
  return tab.inside.reduce((graph, instance) => tab.workflow.graphs[graph]?.nodes[instance]?.type ?? ROOT, ROOT);
}

/** The graph that is on the canvas. */
export function openGraph(state: Workflows): Graph | undefined {
  const tab = activeTab(state);
  return tab?.workflow.graphs[shownGraph(tab)];
}

/** The id that the server gives a node of the open graph: "5:12" within instance 5. */
export const executionId = (tab: Tab, node: NodeId): string => [...tab.inside, node].join(":");

// ── tabs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Open a workflow in a tab of its own and show it; the tab's id. */
export function openTab(workflow: Workflow, name: string): string {
  const id = crypto.randomUUID();
  const tab: Tab = { id, name, workflow, past: [], future: [], saved: workflow, inside: [], selection: NOTHING };
  useWorkflows.setState((state) => ({ tabs: [...state.tabs, tab], active: id }));
  return id;
}

export function closeTab(id: string): void {
  useWorkflows.setState((state) => {
    const place = state.tabs.findIndex((tab) => tab.id === id);
    const tabs = state.tabs.filter((tab) => tab.id !== id);
    const next = tabs[Math.min(place, tabs.length - 1)];
    return { tabs, active: state.active === id ? (next?.id ?? "") : state.active };
  });
}

export const showTab = (id: string): void => useWorkflows.setState({ active: id });

export function updateTab(id: string, part: Partial<Omit<Tab, "id">>): void {
  useWorkflows.setState((state) => ({ tabs: state.tabs.map((tab) => (tab.id === id ? { ...tab, ...part } : tab)) }));
}

/** Select in the open graph; what is not named is not selected. */
export function select(part: Partial<Selection>): void {
  updateTab(useWorkflows.getState().active, { selection: { ...NOTHING, ...part } });
}

// ── editing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Change a workflow, as one step that can be undone: the open one. Steps of one `key` in quick succession become one. */
export function edit(changes: readonly Change[], key?: string, of = useWorkflows.getState().active): void {
  const tab = useWorkflows.getState().tabs.find(({ id }) => id === of);
  if (!tab || changes.length === 0) return;
  const { workflow, inverse } = apply(tab.workflow, changes);
  const at = Date.now();
  const last = tab.past.at(-1);
  const joined = key !== undefined && last?.key === key && at - last.at < JOIN_MS && tab.future.length === 0;
  const step: Step = joined
    ? { undo: [...inverse, ...last.undo], redo: [...last.redo, ...changes], key, at }
    : { undo: inverse, redo: changes, key, at };
  updateTab(tab.id, {
    workflow,
    past: [...(joined ? tab.past.slice(0, -1) : tab.past), step].slice(-MOST_STEPS),
    future: [],
  });
}

export const undo = (): void => step("past", "future", "undo");
export const redo = (): void => step("future", "past", "redo");

function step(from: "past" | "future", to: "past" | "future", way: "undo" | "redo"): void {
  const tab = activeTab(useWorkflows.getState());
  const taken = tab?.[from].at(-1);
  if (!tab || !taken) return;
  const { workflow } = apply(tab.workflow, taken[way]);
  const graph = shownGraph({ ...tab, workflow });
  const nodes = workflow.graphs[graph]?.nodes ?? {};
  updateTab(tab.id, {
    workflow,
    [from]: tab[from].slice(0, -1),
    [to]: [...tab[to], { ...taken, key: undefined }],
    inside: workflow.graphs[graph] ? tab.inside : [],
    selection: { ...NOTHING, nodes: new Set([...tab.selection.nodes].filter((id) => nodes[id])) },
  });
}
