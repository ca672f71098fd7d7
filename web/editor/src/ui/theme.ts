// The theme and the language that are set, on the page.
import { useSettings } from "@/store/settings";

/** Keep the page's theme and language as they are set; until the function that is returned is called. */
export function followTheme(): () => void {
  const system = matchMedia("(prefers-color-scheme: light)");
  const show = () => {
    const { theme, language } = useSettings.getState();
    const { dataset } = document.documentElement;
    dataset.theme = theme === "system" ? (system.matches ? "light" : "dark") : theme;
    document.documentElement.lang = language === "zh" ? "zh-CN" : language;
  };
  show();
  system.addEventListener("change", show);
  const unsubscribe = useSettings.subscribe(show);
  return () => {
    system.removeEventListener("change", show);
    unsubscribe();
  };
}
