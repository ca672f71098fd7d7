// The API of the server, made from its OpenAPI document by `python -m lab.editor_types`. Do not edit it.
import type { Json } from "@/document/types";

/** The jobs that were cancelled. */
export interface Cancelled {
  readonly cancelled: readonly string[];
}

/** A job that was told to end. */
export interface CancelledJob {
  readonly id: string;
  readonly status: "cancelled" | "completed" | "failed" | "in_progress" | "pending";
  /** lower goes first among equal priorities of one client */
  readonly number: number;
  /** higher goes first; left out if it is 0, as usual */
  readonly priority?: number;
  /** 1 is the next to begin, as things stand */
  readonly queue_position: number | null;
  /** the client_id that it was sent with */
  readonly client: string;
  /** milliseconds since 1970 */
  readonly create_time: number;
  /** of the last attempt, in ms since 1970 */
  readonly execution_start_time: number | null;
  /** in ms since 1970 */
  readonly execution_end_time: number | null;
  /** how often it began */
  readonly attempts: number;
  /** why it failed, was cancelled or waits again: a sentence */
  readonly reason: string;
  /** files that it showed */
  readonly outputs_count: number;
  /** pictures, videos and sounds among them */
  readonly previewable_outputs_count: number;
  readonly preview_output: PreviewOutput | null;
  /** the first failure */
  readonly execution_error: JobError | null;
  /** of the workflow that the editor sent along */
  readonly workflow_id: string | null;
  /** whether this ends it; false if it was over already */
  readonly cancelled: boolean;
}

/** A workflow in the form that was asked for, and what POST /prompt would say of it. */
export interface Conversion {
  readonly workflow?: Readonly<Record<string, Json>>;
  /** of Python */
  readonly source?: string;
  /** sentences on what was odd, or left out */
  readonly notes: readonly string[];
  readonly missing: readonly Missing[];
  /** whether POST /prompt would take it */
  readonly can_run: boolean;
  /** why it would not */
  readonly error: ErrorBody | null;
  /** as POST /prompt has them, by ids of the API form */
  readonly node_errors: Readonly<Record<string, Json>>;
}

/** A workflow, and the form in which it is wanted. */
export interface ConvertBody {
  /** in API form, or as the editor saves it */
  readonly workflow: Readonly<Record<string, Json>>;
  readonly to?: "api" | "editor" | "python";
  /** with to=editor: the editor's workflow that it came from, whose places and notes are kept */
  readonly base?: Readonly<Record<string, Json>> | null;
}

/** The jobs that are gone. */
export interface Deleted {
  readonly deleted: readonly string[];
}

/** A device that computes. Sizes are bytes; `torch_` is what is kept for tensors, and of that what is free. */
export interface Device {
  readonly name: string;
  readonly type: string;
  readonly index: number | null;
  readonly vram_total: number;
  readonly vram_free: number;
  readonly torch_vram_total: number;
  readonly torch_vram_free: number;
}

/** A folder, or a file with its size in bytes and its time of change in seconds since 1970. */
export interface Entry {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly size: number | null;
  readonly modified: number | null;
}

/** The body of every answer that is no success; `node_errors` says what is wrong with which node of a prompt. */
export interface ErrorAnswer {
  readonly error: ErrorBody;
  readonly node_errors: Readonly<Record<string, Json>>;
}

/** What went wrong: a type for programs, a message for people. */
export interface ErrorBody {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: Readonly<Record<string, Json>>;
}

/** Events in order. */
export interface EventsAnswer {
  readonly events: readonly JobEvent[];
  /** `after` for what follows */
  readonly next: number;
  /** the job is over, and this is the last that happened to it */
  readonly is_over: boolean;
}

/** How many jobs wait or run. */
export interface ExecInfo {
  readonly queue_remaining: number;
}

/** A file. Times are milliseconds since 1970. */
export interface FileInfo {
  readonly path: string;
  readonly size: number;
  readonly modified: number;
  readonly created: number;
}

/** How the server is. */
export interface Health {
  readonly status: string;
}

/** What is to be forgotten. */
export interface HistoryChange {
  /** whether all of the caller's jobs that are over are to go */
  readonly clear?: Json;
  readonly delete?: readonly string[];
}

/** A job that is over. */
export interface HistoryEntry {
  readonly prompt: readonly [number, string, Readonly<Record<string, Json>>, Readonly<Record<string, Json>>, readonly string[]];
  readonly outputs: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  readonly status: HistoryStatus;
  readonly meta: Readonly<Record<string, Readonly<Record<string, Json>>>>;
}

/** How a job ended, and the messages that said so. */
export interface HistoryStatus {
  readonly status_str: string;
  readonly completed: boolean;
  readonly messages: readonly (readonly [string, Readonly<Record<string, Json>>])[];
}

/** What is to stop. */
export interface Interruption {
  /** only this job, if it runs */
  readonly prompt_id?: Json;
  /** only jobs of this client */
  readonly client_id?: string | null;
}

/** Where a waiting job shall stand instead: give a priority, `front` or both; or `before` alone. */
export interface JobChange {
  readonly priority?: number | null;
  /** before all that wait with its priority */
  readonly front?: boolean;
  /** the id of a waiting job to go before, at its priority */
  readonly before?: string | null;
}

/** A job with all that is known of it. */
export interface JobDetail {
  readonly id: string;
  readonly status: "cancelled" | "completed" | "failed" | "in_progress" | "pending";
  /** lower goes first among equal priorities of one client */
  readonly number: number;
  /** higher goes first; left out if it is 0, as usual */
  readonly priority?: number;
  /** 1 is the next to begin, as things stand */
  readonly queue_position: number | null;
  /** the client_id that it was sent with */
  readonly client: string;
  /** milliseconds since 1970 */
  readonly create_time: number;
  /** of the last attempt, in ms since 1970 */
  readonly execution_start_time: number | null;
  /** in ms since 1970 */
  readonly execution_end_time: number | null;
  /** how often it began */
  readonly attempts: number;
  /** why it failed, was cancelled or waits again: a sentence */
  readonly reason: string;
  /** files that it showed */
  readonly outputs_count: number;
  /** pictures, videos and sounds among them */
  readonly previewable_outputs_count: number;
  readonly preview_output: PreviewOutput | null;
  /** the first failure */
  readonly execution_error: JobError | null;
  /** of the workflow that the editor sent along */
  readonly workflow_id: string | null;
  /** when something last happened to it, in ms since 1970 */
  readonly update_time: number;
  /** output nodes to run; null: all */
  readonly targets: readonly string[] | null;
  readonly progress: JobProgress;
  /** by node id, once it has begun */
  readonly nodes: Readonly<Record<string, NodeRun>>;
  /** every failure */
  readonly errors: readonly JobError[];
  /** what nodes showed, by node id */
  readonly outputs: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  /** what nodes saved, by node id */
  readonly files: Readonly<Record<string, readonly JobFile[]>>;
  readonly workflow: Submitted;
}

/** A job, as in a list. */
export interface JobEntry {
  readonly id: string;
  readonly status: "cancelled" | "completed" | "failed" | "in_progress" | "pending";
  /** lower goes first among equal priorities of one client */
  readonly number: number;
  /** higher goes first; left out if it is 0, as usual */
  readonly priority?: number;
  /** 1 is the next to begin, as things stand */
  readonly queue_position: number | null;
  /** the client_id that it was sent with */
  readonly client: string;
  /** milliseconds since 1970 */
  readonly create_time: number;
  /** of the last attempt, in ms since 1970 */
  readonly execution_start_time: number | null;
  /** in ms since 1970 */
  readonly execution_end_time: number | null;
  /** how often it began */
  readonly attempts: number;
  /** why it failed, was cancelled or waits again: a sentence */
  readonly reason: string;
  /** files that it showed */
  readonly outputs_count: number;
  /** pictures, videos and sounds among them */
  readonly previewable_outputs_count: number;
  readonly preview_output: PreviewOutput | null;
  /** the first failure */
  readonly execution_error: JobError | null;
  /** of the workflow that the editor sent along */
  readonly workflow_id: string | null;
}

/** A failure: of a node, or, without a node id, of the job as a whole. */
export interface JobError {
  readonly node_id: string;
  readonly node_type: string;
  readonly exception_type: string;
  readonly exception_message: string;
  readonly traceback: readonly string[];
  /** a sentence with node, class and error */
  readonly message: string;
  /** milliseconds since 1970 */
  readonly timestamp: number;
}

/** Something that happened to a job. Which of the fields are there depends on the kind of event. */
export interface JobEvent {
  /** grows from event to event of a job, not always by one */
  readonly sequence: number;
  /** milliseconds since 1970 */
  readonly at: number;
  /** its kind */
  readonly event: "job_deleted" | "job_finished" | "job_moved" | "job_queued" | "job_requeued" | "job_started" | "node_blocked" | "node_failed" | "node_finished" | "node_progress" | "node_started" | "node_warned" | "nodes_added" | "nodes_cached" | "run_finished" | "run_started";
  readonly node_id?: string;
  /** the node of the prompt that stands for it */
  readonly display_id?: string;
  readonly class_type?: string;
  /** of run_started and nodes_cached */
  readonly node_ids?: readonly string[];
  /** of nodes_added: the node that made them */
  readonly parent_id?: string;
  /** of nodes_added: id and display id of each */
  readonly nodes?: readonly (readonly [string, string])[];
  /** of node_progress */
  readonly value?: number;
  /** of node_progress */
  readonly total?: number;
  /** whether there was a picture, which /ws sends */
  readonly preview?: boolean;
  /** of node_finished: what it showed; of nodes_cached: the same by node id */
  readonly ui?: Readonly<Record<string, Json>>;
  /** of node_finished: what it saved */
  readonly files?: readonly JobFile[];
  readonly seconds?: number;
  /** a sentence with node, class and what happened */
  readonly message?: string;
  /** of node_failed */
  readonly exception_type?: string;
  /** of node_failed */
  readonly exception_message?: string;
  /** of node_failed */
  readonly traceback?: readonly string[];
  /** how the run, or the job, ended */
  readonly status?: string;
  /** of job_requeued and job_finished */
  readonly reason?: string;
  /** of job_finished: node_id, class_type, sentence of each */
  readonly problems?: readonly (Readonly<Record<string, Json>>)[];
  /** of job_started, counted from 1 */
  readonly attempt?: number;
  readonly priority?: number;
  readonly number?: number;
}

/** A file that a job made; /view gives it for the same three values. */
export interface JobFile {
  readonly filename: string;
  readonly subfolder: string;
  /** the folder: output, temp or input */
  readonly type: string;
}

/** Some jobs. */
export interface JobIds {
  readonly job_ids: readonly string[];
}

/** Part of a list of jobs. */
export interface JobList {
  readonly jobs: readonly JobEntry[];
  readonly pagination: Pagination;
  /** whether waiting jobs are held back; see /jobs/pause */
  readonly paused: boolean;
}

/** How many nodes are done, and the ids of those that run. */
export interface JobProgress {
  readonly done: number;
  readonly total: number;
  readonly running: readonly string[];
}

/** A line and when it was written. */
export interface LogLine {
  readonly t: string;
  readonly m: string;
}

/** Something that a workflow needs and the server does not have. */
export interface Missing {
  /** missing_node_type, or value_not_in_list for models and other choices */
  readonly type: string;
  /** for people */
  readonly sentence: string;
  /** ids of the nodes that need it */
  readonly nodes: readonly string[];
  readonly class_type: string | null;
  readonly input: string | null;
  /** the file or choice */
  readonly value: string | null;
  /** of a model: its folder below models/ */
  readonly folder: string | null;
  /** what may stand in for it */
  readonly nearest: readonly string[];
  /** the pack of the class, as far as the workflow says */
  readonly pack: string | null;
  /** where the model can be had, as far as the workflow says */
  readonly url: string | null;
}

/** A model file: its name below the folder of that index; times in seconds since 1970, size in bytes. */
export interface ModelFile {
  readonly name: string;
  readonly pathIndex: number;
  readonly modified: number;
  readonly created: number;
  readonly size: number;
}

/** A kind of model, and where its files lie. */
export interface ModelFolder {
  readonly name: string;
  readonly folders: readonly string[];
}

/** Why a node would run or not. */
export interface NodeOutlook {
  readonly node_id: string;
  readonly class_type: string;
  /** null: known only while the job runs */
  readonly runs: boolean | null;
  /** for programs */
  readonly reason: string;
  /** for people */
  readonly sentence: string;
}

/** How far a node is, or how it went, in the last attempt. */
export interface NodeRun {
  readonly state: "blocked" | "cached" | "failed" | "finished" | "running" | "skipped" | "waiting";
  /** its class; empty as long as it is not known */
  readonly node_type: string;
  /** the node of the prompt that stands for it */
  readonly display_node_id: string;
  readonly start_time: number | null;
  /** what it took to run */
  readonly seconds: number | null;
  /** how much of `max` a running node has done */
  readonly value: number | null;
  readonly max: number | null;
}

/** What a job would do. */
export interface Outlook {
  readonly nodes: readonly NodeOutlook[];
}

/** Which part of a list this is. */
export interface Pagination {
  readonly offset: number;
  readonly limit: number;
  /** jobs in all parts together */
  readonly total: number;
  readonly has_more: boolean;
}

/** The one output that stands for a job in a list: a file, or a text. */
export interface PreviewOutput {
  readonly nodeId: string;
  /** under which key the node showed it, such as images */
  readonly mediaType: string;
  readonly filename?: string;
  readonly subfolder?: string;
  readonly type?: "input" | "output" | "temp";
  /** the text, of a text */
  readonly content?: string;
}

/** A prompt was accepted; `node_errors` tells of outputs that are left out since they cannot run. `notes` are sentences on what was odd about a workflow in the editor's form, if anything was. */
export interface PromptAnswer {
  readonly prompt_id: string;
  readonly number: number;
  readonly node_errors: Readonly<Record<string, Json>>;
  readonly notes?: readonly string[];
}

/** A workflow, and how to run it. */
export interface PromptBody {
  /** the workflow, in API form or as the editor saves it */
  readonly prompt?: Readonly<Record<string, Json>> | null;
  /** the job's id; none: a fresh one */
  readonly prompt_id?: Json;
  /** who is told of progress */
  readonly client_id?: string | null;
  /** kept with the job; extra_pnginfo goes into what is saved, credentials are dropped */
  readonly extra_data?: Readonly<Record<string, Json>> | null;
  /** its place: lower goes first */
  readonly number?: number | null;
  /** before all that wait with its priority */
  readonly front?: Json;
  /** higher goes first */
  readonly priority?: number;
  /** the output nodes that are wanted; none: all */
  readonly partial_execution_targets?: readonly (string | number)[] | null;
}

/** [number, prompt id, prompt, extra data, output ids] of each job. */
export interface QueueAnswer {
  readonly queue_running: readonly (readonly [number, string, Readonly<Record<string, Json>>, Readonly<Record<string, Json>>, readonly string[]])[];
  readonly queue_pending: readonly (readonly [number, string, Readonly<Record<string, Json>>, Readonly<Record<string, Json>>, readonly string[]])[];
}

/** What is to leave the queue. */
export interface QueueChange {
  /** whether all of the caller's jobs that wait are to go */
  readonly clear?: Json;
  readonly delete?: readonly string[];
}

/** The state of the queue in one number. */
export interface QueueCount {
  readonly exec_info: ExecInfo;
}

/** What the queue is at. */
export interface QueueState {
  readonly paused: boolean;
  /** jobs under way */
  readonly running: number;
  /** jobs that wait */
  readonly waiting: number;
}

/** The last lines, the oldest first, and the size of a terminal to show them in. */
export interface RawLogs {
  readonly entries: readonly LogLine[];
  readonly size: Readonly<Record<string, number>>;
}

/** The workflow that a file carries, as the editor opens it. */
export interface Reading {
  readonly workflow: Readonly<Record<string, Json>>;
  /** whether the file had no form of the editor, and this was laid out */
  readonly is_drawn: boolean;
  /** sentences on what was odd, or left out */
  readonly notes: readonly string[];
  readonly missing: readonly Missing[];
}

/** What to let go of. */
export interface Release {
  /** whether all networks are to go */
  readonly unload_models?: Json;
  /** whether networks and remembered results are to go */
  readonly free_memory?: Json;
}

/** What was sent to /prompt, without credentials. */
export interface Submitted {
  readonly prompt: Readonly<Record<string, Json>>;
  readonly extra_data: Readonly<Record<string, Json>>;
}

/** Whether a client wants new lines. */
export interface Subscription {
  readonly clientId: string;
  readonly enabled: boolean;
}

/** The machine and its programs. Sizes are bytes. */
export interface System {
  readonly os: string;
  readonly platform: string;
  readonly ram_total: number;
  readonly ram_free: number;
  readonly server: string;
  readonly comfyui_version: string;
  readonly python_version: string;
  readonly pytorch_version: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly embedded_python: boolean;
  readonly argv: readonly string[];
}

/** The machine, and its devices. */
export interface SystemStats {
  readonly system: System;
  readonly devices: readonly Device[];
}

/** Where the file lies now, and under which name. */
export interface Uploaded {
  readonly name: string;
  readonly subfolder: string;
  readonly type: string;
}

/** Where users' settings are kept: on the server, and never in the browser, so that all are migrated. */
export interface Users {
  readonly storage: string;
  readonly migrated: boolean;
}

export interface Get {
  "/embeddings": { answer: readonly string[] };
  "/experiment/models": { answer: readonly ModelFolder[] };
  "/experiment/models/preview/{folder}/{path_index}/{filename}": { path: { readonly folder: string; readonly path_index: string; readonly filename: string }; answer: null };
  "/experiment/models/{folder}": { path: { readonly folder: string }; answer: readonly ModelFile[] };
  "/extensions": { answer: readonly string[] };
  "/extensions/{pack}/{path}": { path: { readonly pack: string; readonly path: string }; answer: null };
  "/features": { answer: Readonly<Record<string, Json>> };
  "/global_subgraphs": { answer: Readonly<Record<string, Json>> };
  "/healthz": { answer: Health };
  "/history": { query?: { readonly max_items?: number; readonly offset?: number }; answer: Readonly<Record<string, HistoryEntry>> };
  "/history/{job_id}": { path: { readonly job_id: string }; answer: Readonly<Record<string, HistoryEntry>> };
  "/i18n": { answer: Readonly<Record<string, Readonly<Record<string, Json>>>> };
  "/internal/files/{kind}": { path: { readonly kind: string }; answer: readonly string[] };
  "/internal/folder_paths": { answer: Readonly<Record<string, readonly string[]>> };
  "/internal/logs": { answer: string };
  "/internal/logs/raw": { answer: RawLogs };
  "/jobs": { query?: { readonly status?: string; readonly client?: string; readonly q?: string; readonly limit?: number; readonly offset?: number; readonly sort_by?: "create_time" | "created_at" | "execution_end_time"; readonly sort_order?: "asc" | "desc" }; answer: JobList };
  "/jobs/{job_id}": { path: { readonly job_id: string }; answer: JobDetail };
  "/jobs/{job_id}/events": { path: { readonly job_id: string }; query?: { readonly after?: number; readonly limit?: number }; answer: EventsAnswer };
  "/jobs/{job_id}/explain": { path: { readonly job_id: string }; answer: Outlook };
  "/models": { answer: readonly string[] };
  "/models/{folder}": { path: { readonly folder: string }; answer: readonly string[] };
  "/object_info": { answer: Readonly<Record<string, Json>> };
  "/object_info/{class_type}": { path: { readonly class_type: string }; answer: Readonly<Record<string, Json>> };
  "/openapi": { answer: null };
  "/openapi.json": { answer: Readonly<Record<string, Json>> };
  "/prompt": { answer: QueueCount };
  "/queue": { answer: QueueAnswer };
  "/readyz": { answer: Health };
  "/settings": { answer: Readonly<Record<string, Json>> };
  "/settings/{id}": { path: { readonly id: string }; answer: Json };
  "/system_stats": { answer: SystemStats };
  "/templates/{file}": { path: { readonly file: string }; answer: readonly Json[] | Readonly<Record<string, Json>> };
  "/userdata": { query?: { readonly dir?: string; readonly recurse?: string; readonly split?: string; readonly full_info?: string }; answer: readonly string[] | readonly (readonly string[])[] | readonly FileInfo[] };
  "/userdata/{file}": { path: { readonly file: string }; answer: null };
  "/users": { answer: Users };
  "/v2/userdata": { query?: { readonly path?: string }; answer: readonly Entry[] };
  "/view": { query?: { readonly filename?: string; readonly type?: string; readonly subfolder?: string; readonly preview?: string; readonly channel?: string }; answer: null };
  "/view_metadata/{folder}": { path: { readonly folder: string }; query?: { readonly filename?: string }; answer: Readonly<Record<string, Json>> };
  "/workflow_templates": { answer: Readonly<Record<string, readonly string[]>> };
  "/workflow_templates/{pack}/{file}": { path: { readonly pack: string; readonly file: string }; answer: Json };
  "/ws": { query?: { readonly clientId?: string }; answer: null };
}

export interface Post {
  "/free": { body: Release; answer: null };
  "/history": { body: HistoryChange; answer: null };
  "/interrupt": { body?: Interruption | null; answer: null };
  "/jobs/cancel": { body: JobIds; answer: Cancelled };
  "/jobs/pause": { answer: QueueState };
  "/jobs/resume": { answer: QueueState };
  "/jobs/{job_id}/cancel": { path: { readonly job_id: string }; answer: CancelledJob };
  "/jobs/{job_id}/retry": { path: { readonly job_id: string }; answer: JobEntry };
  "/login": { answer: null };
  "/logout": { answer: null };
  "/prompt": { body: PromptBody; answer: PromptAnswer };
  "/queue": { body: QueueChange; answer: null };
  "/settings": { body: Readonly<Record<string, Json>>; answer: null };
  "/settings/{id}": { path: { readonly id: string }; body: Json; answer: null };
  "/upload/image": { answer: Uploaded };
  "/upload/mask": { answer: Uploaded };
  "/userdata/{file}": { path: { readonly file: string }; query?: { readonly overwrite?: string; readonly full_info?: string }; answer: string | FileInfo };
  "/userdata/{file}/move/{dest}": { path: { readonly file: string; readonly dest: string }; query?: { readonly overwrite?: string; readonly full_info?: string }; answer: string | FileInfo };
  "/users": { answer: null };
  "/workflow/convert": { body: ConvertBody; answer: Conversion };
  "/workflow/read": { answer: Reading };
}

export interface Patch {
  "/internal/logs/subscribe": { body: Subscription; answer: null };
  "/jobs/{job_id}": { path: { readonly job_id: string }; body: JobChange; answer: JobEntry };
}

export interface Put {
}

export interface Delete {
  "/jobs/{job_id}": { path: { readonly job_id: string }; answer: Deleted };
  "/userdata/{file}": { path: { readonly file: string }; answer: null };
}
