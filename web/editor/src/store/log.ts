// The last lines that the server and its nodes wrote.
import { create } from "zustand";

export interface LogLine {
  readonly time: string;
  readonly text: string;
}

const MOST_LINES = 2000;

export const useLog = create<{ readonly lines: readonly LogLine[] }>()(() => ({ lines: [] }));

/** Add lines, or begin anew with them. */
export function addLines(lines: readonly LogLine[], anew = false): void {
  useLog.setState((log) => ({ lines: [...(anew ? [] : log.lines), ...lines].slice(-MOST_LINES) }));
}
