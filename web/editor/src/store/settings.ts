// What this person likes, kept in the browser.
import { create } from "zustand";
import { persist } from "zustand/middleware";

export interface Settings {
  readonly theme: "system" | "light" | "dark";
  readonly language: string;
  readonly snap: boolean;
  readonly minimap: boolean;
  readonly linkShape: "curve" | "straight" | "step";
  readonly seedsChange: "before" | "after";
  readonly batchCount: number;
}

const FIRST: Settings = {
  theme: "system",
  language: navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en",
  snap: false,
  minimap: true,
  linkShape: "curve",
  seedsChange: "after",
  batchCount: 1,
};

export const useSettings = create<Settings>()(persist(() => FIRST, { name: "darkroom.settings" }));
