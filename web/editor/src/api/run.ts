// Sending the open workflow to the server, which turns it into what runs.
import { apply, at, type Change } from "@/document/changes";
import { writeEditorForm } from "@/document/editor_form";
import { controlSeeds } from "@/document/edits/control_seeds";
import type { JsonObject, Workflow } from "@/document/types";
import { useServer } from "@/store/server";
import { useSettings } from "@/store/settings";
import { text } from "@/store/text";
import { tell } from "@/store/view";
import { activeTab, edit, useWorkflows } from "@/store/workflows";
import { post, Refused, sentences } from "./client";
import { refresh } from "./follow";
import { setProblems } from "./problems";
import { remember } from "./sent";

export interface Run {
  /** Before everything that waits. */
  readonly front?: boolean;
  /** Only these output nodes, by the server's ids ("5:12" within a subgraph). */
  readonly targets?: readonly string[];
  /** How many times, with other seeds where a seed says so; else as the settings say. */
  readonly count?: number;
}

/** What came of it. */
export interface Sent {
  /** How many jobs wait now. */
  readonly jobs: number;
  /** The nodes that something is wrong with. */
  readonly nodes: readonly string[];
}

const MOST_SHOWN = 5;

/** Send the open workflow. What is wrong is said on its nodes, and in a message. */
export async function runWorkflow({ front, targets, count }: Run = {}): Promise<Sent> {
  const tab = activeTab(useWorkflows.getState());
  if (!tab) return { jobs: 0, nodes: [] };
  if (useServer.getState().connection === "lost") {
    tell(text("run.noServer"), "error");
    return { jobs: 0, nodes: [] };
  }
  const { batchCount, seedsChange } = useSettings.getState();
  const { definitions } = useServer.getState();
  const changes: Change[] = [];
  let workflow = tab.workflow;
  const next = () => {
    const seeds = controlSeeds(workflow, definitions);
    workflow = apply(workflow, seeds).workflow;
    changes.push(...seeds);
  };
  let problems: Readonly<Record<string, readonly string[]>> = {};
  let jobs = 0;
  try {
    for (; jobs < (count ?? batchCount); jobs += 1) {
      if (seedsChange === "before") next();
      problems = { ...problems, ...(await send(workflow, tab.id, { front, targets })) };
      if (seedsChange === "after") next();
    }
    setProblems(tab.id, problems);
    if (Object.keys(problems).length > 0) tell(listOf(text("run.partly"), problems), "error");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    problems = error.nodes;
    setProblems(tab.id, problems);
    tell(Object.keys(problems).length > 0 ? listOf(text("run.refused"), problems) : sentenceOf(error), "error");
  }
  changeSeeds(tab.id, jobs > 0 ? changes : []);
  refresh().catch(() => undefined);
  return { jobs, nodes: Object.keys(problems) };
}

/** Post one job; what is wrong with outputs that are left out. */
async function send(workflow: Workflow, tab: string, { front, targets }: Run) {
  const form = writeEditorForm(workflow);
  const answer = await post("/prompt", {
    body: {
      prompt: form as JsonObject & Record<string, never>,
      client_id: useServer.getState().client,
      extra_data: { extra_pnginfo: { workflow: form } },
      ...(front ? { front } : {}),
      ...(targets ? { partial_execution_targets: targets } : {}),
    },
  });
  remember(
    {
      id: answer.prompt_id,
      status: "pending",
      number: answer.number,
      createdAt: Date.now(),
      nodes: {},
      pictures: [],
      pictureCount: 0,
      failures: [],
      sequence: 0,
    },
    tab,
  );
  return sentences(answer.node_errors);
}

/** The seeds as they are after the last job, as one step; not of nodes that went away meanwhile. */
function changeSeeds(tab: string, changes: readonly Change[]): void {
  const workflow = useWorkflows.getState().tabs.find(({ id }) => id === tab)?.workflow;
  const last = new Map(changes.map((change) => [change.path.join("\0"), change]));
  const there = [...last.values()].filter(({ path }) => at(workflow, path.slice(0, -1)) !== undefined);
  edit(there, undefined, tab);
}

const sentenceOf = (error: Refused): string =>
  error.details && error.details !== error.message ? `${error.message} ${error.details}` : error.message;

function listOf(head: string, problems: Readonly<Record<string, readonly string[]>>): string {
  const all = Object.values(problems).flat();
  const more = all.length > MOST_SHOWN ? [text("run.more", { n: all.length - MOST_SHOWN })] : [];
  return [head, ...all.slice(0, MOST_SHOWN), ...more].join("\n");
}
