import { useText } from "@/store/text";

/** The whole window. */
export function App() {
  const t = useText();
  return <h1>{t("app.name")}</h1>;
}
