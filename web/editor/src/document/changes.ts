// The only way to edit a workflow: lists of changes, each of which sets or deletes the value at one path. What undoes a
// list is a list, too.
import type { Workflow } from "./types";

export type Path = readonly (string | number)[];

/** Set the value at a path; undefined deletes it. Objects and lists on the way must be there. */
export interface Change {
  readonly path: Path;
  readonly value: unknown;
}

export interface Applied {
  readonly workflow: Workflow;
  /** What leads back. */
  readonly inverse: readonly Change[];
}

/** The workflow after changes, one after another. What no change touches stays the same object. */
export function apply(workflow: Workflow, changes: readonly Change[]): Applied {
  const inverse: Change[] = [];
  let now: unknown = workflow;
  for (const { path, value } of changes) {
    inverse.push({ path, value: at(now, path) });
    now = set(now, path, 0, value);
  }
  return { workflow: now as Workflow, inverse: inverse.reverse() };
}

/** The value at a path, or undefined. */
export function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (found, key) =>
      found !== null && typeof found === "object" && Object.hasOwn(found, key)
        ? (found as Record<string | number, unknown>)[key]
        : undefined,
    value,
  );
}

function set(value: unknown, path: Path, depth: number, to: unknown): unknown {
  const key = path[depth];
  if (key === undefined) return to;
  if (value === null || typeof value !== "object")
    throw new Error(`There is nothing at ${path.slice(0, depth).join("/")}.`);
  const inner = set(
    Object.hasOwn(value, key) ? (value as Record<string | number, unknown>)[key] : undefined,
    path,
    depth + 1,
    to,
  );
  if (Array.isArray(value)) {
    const list = [...value];
    if (inner === undefined && key === list.length - 1) list.pop();
    else list[key as number] = inner;
    return list;
  }
  const { [key]: _, ...others } = value as Record<string | number, unknown>;
  return inner === undefined ? others : Object.assign({}, value, { [key]: inner });
}
