// Forms of workflows: the server reads and writes all of them.
import { parseJson, printJson } from "@/document/json";
import type { Json, JsonObject } from "@/document/types";
import { address, send } from "./client";

/** What a file held. */
export interface FoundWorkflow {
  /** In the editor's form. */
  readonly workflow: Json;
  /** What was taken differently than it was written: sentences. */
  readonly notes: readonly string[];
  /** What it needs that is not here. */
  readonly missing: readonly JsonObject[];
}

/** A workflow of the editor's form as a prompt ("api") or as Python ("python"), as text for a file. */
export async function convert(workflow: JsonObject, to: "api" | "python" | "editor"): Promise<string> {
  const response = await send(address("/workflow/convert"), {
    method: "POST",
    body: printJson({ workflow, to }),
    headers: { "Content-Type": "application/json" },
  });
  return response.text();
}

/** The workflow in a file of any form: JSON of the editor or of the API, or a picture. Throws Refused if there is none. */
export async function readFile(file: Blob): Promise<FoundWorkflow> {
  const form = new FormData();
  form.set("file", file, file instanceof File ? file.name : "file");
  const response = await send(address("/workflow/read"), { method: "POST", body: form });
  const found = parseJson(await response.text()) as JsonObject;
  return {
    workflow: found.workflow ?? null,
    notes: ((found.notes ?? []) as readonly Json[]).map(String),
    missing: (found.missing ?? []) as readonly JsonObject[],
  };
}
