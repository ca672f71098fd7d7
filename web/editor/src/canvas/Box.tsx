// What is on the canvas beside nodes: titled groups behind them, and within a subgraph its own inputs and outputs.
import { Handle, type NodeProps, Position } from "@xyflow/react";
import { memo } from "react";
import { SUBGRAPH_INPUT } from "@/document/types";
import { useText } from "@/store/text";
import { openGraph, useWorkflows } from "@/store/workflows";
import { colourOf } from "./colours";
import { boundarySlots, type ShownNode } from "./projection";

export const Box = memo(function Box({ data, selected }: NodeProps<ShownNode>) {
  return (
    <section className={selected ? "group group-selected" : "group"} aria-label={data.title}>
      <h3 className="group-title">{data.title}</h3>
    </section>
  );
});

export const Boundary = memo(function Boundary({ id, data }: NodeProps<ShownNode>) {
  const t = useText();
  const graph = useWorkflows(openGraph);
  const isInput = id === SUBGRAPH_INPUT;
  const side = isInput ? "out" : "in";
  return (
    <article className="node boundary" data-testid={`node-${id}`}>
      <header className="node-header">{t(isInput ? "canvas.inputs" : "canvas.outputs")}</header>
      {graph &&
        boundarySlots(graph, isInput).map((slot, index) => {
          const middle = (isInput ? data.shape.outputs[index] : data.shape.inputs.get(String(index))) ?? 0;
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: a slot is its place
            <div key={index}>
              <Handle
                id={`${side}-${index}`}
                type={isInput ? "source" : "target"}
                position={isInput ? Position.Right : Position.Left}
                className="socket"
                style={{ top: middle, background: colourOf(slot.type) }}
                data-testid={`socket-${id}-${side}-${index}`}
                data-type={slot.type}
              />
              <span className={`socket-label socket-label-${side}`} style={{ top: middle }}>
                {slot.name}
              </span>
            </div>
          );
        })}
    </article>
  );
});
