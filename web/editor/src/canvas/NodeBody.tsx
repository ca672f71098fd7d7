// A node near enough to read: its title, sockets, widgets, and how its run goes. It reads its own node from the store,
// so that an edit to one node draws that node alone.
import { Handle, type NodeProps, NodeResizer, Position } from "@xyflow/react";
import { type CSSProperties, memo, useCallback, useMemo } from "react";
import { pictureUrl } from "@/api/view";
import { definitionOf, type NodeWidget, widgetsOf } from "@/document/node_widgets";
import { BYPASSED, type Json, MUTED } from "@/document/types";
import { inputsOf, isCollapsed, modeOf, outputsOf } from "@/document/view";
import { type NodeRun, nodeRun, problemsOf, useRuns } from "@/store/runs";
import { useServer } from "@/store/server";
import { useText } from "@/store/text";
import { activeTab, executionId, openGraph, useWorkflows } from "@/store/workflows";
import { widgetFor } from "@/widgets/find";
import { colourOf } from "./colours";
import { LEAST_WIDTH, type WidgetPlace } from "./geometry";
import { resized, widgetSet } from "./gestures";
import type { ShownNode } from "./projection";
import { isDimmed, useWiring } from "./wiring";

export const NodeBody = memo(function NodeBody({ id, data, selected }: NodeProps<ShownNode>) {
  const t = useText();
  const node = useWorkflows((state) => openGraph(state)?.nodes[id]);
  const inner = useWorkflows((state) => node && activeTab(state)?.workflow.graphs[node.type]);
  const definitions = useServer((server) => server.definitions);
  const place = useWorkflows((state) => {
    const tab = activeTab(state);
    return tab ? `${tab.id}\n${executionId(tab, id)}` : "\n";
  });
  const [tab = "", server = ""] = place.split("\n");
  const run = useRuns((runs) => nodeRun(runs, tab, server));
  const problems = useRuns((runs) => problemsOf(runs, tab, server));
  // The definition of a subgraph's inside is `inner`: nothing else of the workflow is read.
  // biome-ignore lint/correctness/useExhaustiveDependencies: as said above
  const parts = useMemo(() => {
    const workflow = activeTab(useWorkflows.getState())?.workflow;
    if (!node || !workflow) return undefined;
    const definition = definitionOf(node, workflow, definitions);
    const widgets = widgetsOf(node, definition, workflow);
    const names = new Set(widgets.map((widget) => widget.input.name));
    const all = inputsOf(node, definition);
    return { definition, widgets, names, inputs: all, outputs: outputsOf(node, definition) };
  }, [node, inner, definitions]);
  const onResizeEnd = useCallback(
    (_: unknown, size: { width: number; height: number }) => resized(id, size.width, size.height),
    [id],
  );
  if (!node || !parts) return null;
  const { shape, title } = data;
  const mode = modeOf(node);
  const collapsed = isCollapsed(node);
  const isMissing = !parts.definition;
  const state = run?.state ?? "idle";
  const error = run?.error ?? problems?.join(" ");
  const classes = [
    "node",
    selected && "node-selected",
    mode === MUTED && "node-muted",
    mode === BYPASSED && "node-bypassed",
    isMissing && "node-missing",
    error && "node-failed",
    state === "running" && "node-running",
  ];
  return (
    <article
      className={classes.filter(Boolean).join(" ")}
      data-testid={`node-${id}`}
      style={tint(node.bgcolor ?? node.color)}
    >
      {selected && !collapsed && (
        <NodeResizer
          minWidth={LEAST_WIDTH}
          onResizeEnd={onResizeEnd}
          lineClassName="node-edge"
          handleClassName="node-corner"
        />
      )}
      <header className="node-header">
        <span className="node-title" title={title}>
          {title}
        </span>
        {mode === MUTED && <span className="node-badge">{t("canvas.muted")}</span>}
        {mode === BYPASSED && <span className="node-badge">{t("canvas.bypassed")}</span>}
        {isMissing && <span className="node-badge">{t("canvas.missing")}</span>}
        <Time run={run} />
      </header>
      {run?.value !== undefined && state === "running" && (
        <progress className="node-progress" aria-label={title} value={run.value} max={run.total ?? 1} />
      )}
      {parts.inputs.map((input) => (
        <Socket
          key={`in-${input.name}`}
          node={id}
          side="in"
          name={input.name}
          label={parts.names.has(input.name) || collapsed ? "" : input.label}
          type={input.type}
          middle={shape.inputs.get(input.name) ?? 0}
        />
      ))}
      {parts.outputs.map((output, slot) => (
        <Socket
          // biome-ignore lint/suspicious/noArrayIndexKey: an output is its slot
          key={`out-${slot}`}
          node={id}
          side="out"
          name={String(slot)}
          label={collapsed ? "" : output.label}
          type={output.type}
          middle={shape.outputs[slot] ?? 0}
        />
      ))}
      {shape.widgets.map((at) => {
        const widget = parts.widgets.find((each) => each.input.name === at.name);
        return (
          widget && (
            <WidgetRow
              key={at.name}
              node={id}
              at={at}
              widget={widget}
              value={widget.value}
              isLinked={widget.link !== undefined}
            />
          )
        );
      })}
      {error && (
        <p className="node-error" role="alert">
          {error}
        </p>
      )}
      {!collapsed && <Pictures run={run} title={title} />}
    </article>
  );
});

/** Only plain colours of a file reach a style: anything else could load something. */
function tint(colour: string | undefined): CSSProperties {
  return colour !== undefined && /^#[0-9a-f]{3,8}$/i.test(colour) ? ({ "--tint": colour } as CSSProperties) : {};
}

function Time({ run }: { readonly run: NodeRun | undefined }) {
  const t = useText();
  if (run?.state === "cached") return <span className="node-time">{t("canvas.cached")}</span>;
  if (run?.seconds === undefined) return null;
  return <span className="node-time">{t("canvas.seconds", { n: run.seconds.toFixed(run.seconds < 10 ? 2 : 1) })}</span>;
}

function Pictures({ run, title }: { readonly run: NodeRun | undefined; readonly title: string }) {
  if (run?.state === "running" && run.preview) return <img className="node-picture" src={run.preview} alt={title} />;
  return run?.pictures?.map((picture) => (
    <img
      key={picture.filename}
      className="node-picture"
      src={pictureUrl(picture)}
      alt={picture.filename}
      draggable={false}
    />
  ));
}

interface SocketProps {
  readonly node: string;
  readonly side: "in" | "out";
  /** The input's name, or the output's slot. */
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly middle: number;
}

const Socket = memo(function Socket({ node, side, name, label, type, middle }: SocketProps) {
  const dimmed = useWiring(({ wire }) => isDimmed(wire, node, side, type));
  const classes = ["socket", type === "*" && "socket-any", dimmed && "socket-dimmed"];
  return (
    <>
      <Handle
        id={`${side}-${name}`}
        type={side === "in" ? "target" : "source"}
        position={side === "in" ? Position.Left : Position.Right}
        className={classes.filter(Boolean).join(" ")}
        style={{ top: middle, background: colourOf(type) }}
        data-testid={`socket-${node}-${side}-${name}`}
        data-type={type}
        title={type}
      />
      {label && (
        <span className={`socket-label socket-label-${side}`} style={{ top: middle }}>
          {label}
        </span>
      )}
    </>
  );
});

interface WidgetRowProps {
  readonly node: string;
  readonly at: WidgetPlace;
  readonly widget: NodeWidget;
  readonly value: Json | undefined;
  readonly isLinked: boolean;
}

function WidgetRow({ node, at, widget, value, isLinked }: WidgetRowProps) {
  const { input, place } = widget;
  const { Component } = widgetFor(input);
  const onChange = useCallback((next: Json) => widgetSet(node, input, place, next), [node, input, place]);
  return (
    <div
      className="node-widget nodrag nopan"
      data-testid={`widget-${node}-${input.name}`}
      style={{ top: at.top, height: at.height }}
    >
      <Component
        id={`${node}/${input.name}`}
        nodeId={node}
        input={input}
        value={value}
        isLinked={isLinked}
        onChange={onChange}
      />
    </div>
  );
}
