// A wire: a curve, a straight line or steps, in the colour of its type. It moves only on its way to a running node.
import { BaseEdge, type EdgeProps, getBezierPath, getSmoothStepPath, getStraightPath } from "@xyflow/react";
import { memo } from "react";
import { nodeRun, useRuns } from "@/store/runs";
import { useSettings } from "@/store/settings";
import { activeTab, executionId, useWorkflows } from "@/store/workflows";
import { colourOf } from "./colours";
import type { ShownLink } from "./projection";

export const Wire = memo(function Wire(props: EdgeProps<ShownLink>) {
  const { id, target, data, selected } = props;
  const shape = useSettings((settings) => settings.linkShape);
  const server = useWorkflows((state) => {
    const tab = activeTab(state);
    return tab ? `${tab.id}\n${executionId(tab, target)}` : "\n";
  });
  const runs = useRuns((all) => {
    const [tab = "", node = ""] = server.split("\n");
    return nodeRun(all, tab, node)?.state === "running";
  });
  const path = shape === "straight" ? getStraightPath : shape === "step" ? getSmoothStepPath : getBezierPath;
  const classes = ["wire", selected && "wire-selected", runs && "wire-runs"].filter(Boolean).join(" ");
  return <BaseEdge id={id} className={classes} path={path(props)[0]} style={{ stroke: colourOf(data?.type ?? "*") }} />;
});
