import { useEffect, useRef } from "react";
import { followLog } from "@/api/log";
import { useLog } from "@/store/log";
import { useText } from "@/store/text";
import type { Panel } from "./panel";
import "./log.css";

/** What the server and its nodes write. It stays at the end as long as it is read there. */
function Log() {
  const t = useText();
  const lines = useLog((log) => log.lines);
  const place = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  useEffect(followLog, []);
  useEffect(() => {
    const shown = place.current;
    if (shown && isAtEnd.current && lines.length > 0) shown.scrollTop = shown.scrollHeight;
  }, [lines]);
  return (
    <pre
      className="log"
      ref={place}
      role="log"
      aria-live="off"
      aria-label={t("panel.log")}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
      tabIndex={0}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isAtEnd.current = scrollTop + clientHeight > scrollHeight - 8;
      }}
    >
      {lines.map(({ text }) => text).join("")}
    </pre>
  );
}

const panel: Panel = { side: "bottom", order: 10, icon: "M5 7l4 4-4 4M12 16h7", Component: Log };
export default panel;
