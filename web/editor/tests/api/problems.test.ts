import { beforeEach, expect, it } from "vitest";
import { nodeAt, setProblems, watchProblems } from "@/api/problems";
import type { Graph, Node, Workflow } from "@/document/types";
import { useRuns } from "@/store/runs";
import { edit, openTab, useWorkflows } from "@/store/workflows";

const graph = (...nodes: Node[]): Graph => ({
  nodes: Object.fromEntries(nodes.map((node) => [String(node.id), node])),
  order: nodes.map(({ id }) => String(id)),
  links: {},
  groups: [],
  rest: {},
});

const WORKFLOW: Workflow = {
  graphs: { "": graph({ id: 1, type: "A" }, { id: 5, type: "sub" }), sub: graph({ id: 2, type: "B" }) },
  definitions: ["sub"],
};

let unwatch = () => {};
let tab = "";

beforeEach(() => {
  unwatch();
  useWorkflows.setState({ tabs: [], active: "" });
  tab = openTab(WORKFLOW, "one");
  setProblems(tab, { "1": ["One."], "5:2": ["Two."] });
  unwatch = watchProblems();
});

const left = () => Object.keys(useRuns.getState().problems[tab] ?? {});

it("A node's problems go when it is changed, and those of others stay", () => {
  edit([{ path: ["graphs", "", "nodes", "1", "title"], value: "new" }]);
  expect(left()).toEqual(["5:2"]);
});

it("The same holds within subgraphs", () => {
  edit([{ path: ["graphs", "sub", "nodes", "2", "title"], value: "new" }]);
  expect(left()).toEqual(["1"]);
});

it("They go with the tab", () => {
  useWorkflows.setState({ tabs: [], active: "" });
  expect(left()).toEqual([]);
});

it("A node that is not there is found nowhere", () => {
  expect(nodeAt(WORKFLOW, "5:2")).toBe(WORKFLOW.graphs.sub?.nodes["2"]);
  for (const id of ["", "9", "9:2", "1:2", "5:9"]) expect(nodeAt(WORKFLOW, id)).toBeUndefined();
});
