// The open graph. React Flow has nodes near enough to read; from far, a large graph is drawn by FarCanvas.
import "@xyflow/react/dist/base.css";
import "./canvas.css";
import {
  applyNodeChanges,
  Background,
  type Connection,
  type EdgeChange,
  type FinalConnectionState,
  MiniMap,
  type NodeChange,
  ReactFlow,
  ReactFlowProvider,
  SelectionMode,
  useReactFlow,
  useStore,
} from "@xyflow/react";
import { type MouseEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useServer } from "@/store/server";
import { useSettings } from "@/store/settings";
import { useText } from "@/store/text";
import { useView } from "@/store/view";
import {
  activeTab,
  NOTHING,
  type Selection,
  select,
  shownGraph,
  updateTab,
  useWorkflows,
  type Workflows,
} from "@/store/workflows";
import { Boundary, Box } from "./Box";
import { lendEye, toCanvas } from "./camera";
import { FAR_NODES, FAR_ZOOM, FarCanvas } from "./FarCanvas";
import { hit } from "./geometry";
import { connected, connectedSomewhere, dragged, type End, mayConnect, unwired } from "./gestures";
import { NodeBody } from "./NodeBody";
import { groupOf, newMemory, type ShownLink, type ShownNode, shownLinks, shownNodes } from "./projection";
import { Wire } from "./Wire";
import { useWiring } from "./wiring";

const NODE_TYPES = { node: NodeBody, box: Box, boundary: Boundary };
const LINK_TYPES = { wire: Wire };
const NO_NODES: readonly ShownNode[] = [];
const NO_LINKS: readonly ShownLink[] = [];
const tabOf = (state: Workflows, id: string) => state.tabs.find((tab) => tab.id === id);
const MOST_IN_MINIMAP = 1000;
const SNAP: [number, number] = [10, 10];

/** The canvas of the active tab; nothing where no tab is open. */
export function Canvas() {
  const place = useWorkflows((state) => {
    const tab = activeTab(state);
    return tab && `${tab.id}/${shownGraph(tab)}`;
  });
  if (place === undefined) return null;
  const [tab = "", graph = ""] = place.split("/");
  return (
    <ReactFlowProvider key={place}>
      <OpenGraph tabId={tab} graphId={graph} />
    </ReactFlowProvider>
  );
}

/** Reads what is projected, never the workflow itself: a value that is typed in changes no projection, and draws nothing here. */
function OpenGraph({ tabId, graphId }: { readonly tabId: string; readonly graphId: string }) {
  const t = useText();
  const definitions = useServer((server) => server.definitions);
  const snap = useSettings((settings) => settings.snap);
  const minimap = useSettings((settings) => settings.minimap);
  const [memory] = useState(newMemory);
  const place = `${tabId}/${graphId}`;
  const projected = useWorkflows((state) => {
    const tab = tabOf(state, tabId);
    return tab ? shownNodes(memory, tab, graphId, definitions) : NO_NODES;
  });
  const links = useWorkflows((state) => {
    const graph = tabOf(state, tabId)?.workflow.graphs[graphId];
    return graph ? shownLinks(memory, graph) : NO_LINKS;
  });
  const selection = useWorkflows((state) => tabOf(state, tabId)?.selection ?? NOTHING);
  const flow = useReactFlow<ShownNode, ShownLink>();
  const latest = useRef(projected);
  latest.current = projected;
  useEffect(() => lendEye({ flow, nodes: () => latest.current }), [flow]);

  // Where nodes are during a drag is known here alone: one edit follows when they are let go.
  const [nodes, setNodes] = useState<ShownNode[]>([]);
  useEffect(() => {
    setNodes(projected.map((node) => (isSelected(selection, node.id) ? { ...node, selected: true } : node)));
  }, [projected, selection]);
  const onNodesChange = useCallback((changes: NodeChange<ShownNode>[]) => {
    const chosen = changes.filter((change) => change.type === "select");
    if (chosen.length > 0) {
      const tab = activeTab(useWorkflows.getState());
      const ids = new Set(tab?.selection.nodes);
      const groups = new Set(tab?.selection.groups);
      for (const { id, selected } of chosen) {
        const index = groupOf(id);
        if (index === undefined) selected ? ids.add(id) : ids.delete(id);
        else selected ? groups.add(index) : groups.delete(index);
      }
      select({ nodes: ids, groups });
    }
    const others = changes.filter((change) => change.type === "position");
    if (others.length > 0) setNodes((now) => applyNodeChanges(others, now));
  }, []);
  const onNodeDragStop = useCallback((_: unknown, __: ShownNode, moved: ShownNode[]) => {
    dragged(new Map(moved.map(({ id, position }) => [id, [position.x, position.y]])));
  }, []);
  const edges = useMemo(
    () => links.map((link) => (selection.links.has(link.id) ? { ...link, selected: true } : link)),
    [links, selection.links],
  );
  const onEdgesChange = useCallback((changes: EdgeChange<ShownLink>[]) => {
    const chosen = changes.flatMap((change) => (change.type === "select" && change.selected ? [change.id] : []));
    if (chosen.length > 0) select({ links: new Set(chosen) });
  }, []);

  const isValid = useCallback((wire: Connection | ShownLink) => {
    const output = endOf(wire.source, wire.sourceHandle);
    return output !== undefined && mayConnect(output, wire.target, nameOf(wire.targetHandle));
  }, []);
  const onConnect = useCallback((wire: Connection) => {
    const output = endOf(wire.source, wire.sourceHandle);
    if (output) connected(output, wire.target, nameOf(wire.targetHandle));
  }, []);
  const onConnectEnd = useCallback((event: globalThis.MouseEvent | TouchEvent, state: FinalConnectionState) => {
    useWiring.setState({ wire: undefined });
    if (state.isValid || !state.fromHandle || !state.fromNode) return;
    const { id: handle, type } = state.fromHandle;
    const node = state.fromNode.id;
    const output = type === "source" ? endOf(node, handle) : undefined;
    const point = "changedTouches" in event ? event.changedTouches[0] : event;
    if (!point) return;
    const over = document.elementFromPoint(point.clientX, point.clientY)?.closest(".react-flow__node");
    const id = over?.getAttribute("data-id");
    if (output && id && id !== node) connectedSomewhere(output, id);
    else if (!over) {
      const socketType = typeOf(node, handle);
      const shape = latest.current.find((each) => each.id === node)?.data.shape;
      const slot = output?.slot ?? [...(shape?.inputs.keys() ?? [])].indexOf(nameOf(handle));
      const wire = { node, slot, side: type === "source" ? ("output" as const) : ("input" as const), type: socketType };
      useView.setState({ search: { at: toCanvas([point.clientX, point.clientY]), wire } });
    }
  }, []);

  const isLarge = projected.length > FAR_NODES;
  const isFar = useStore((state) => state.transform[2] < FAR_ZOOM) && isLarge;
  const hasSize = useStore((state) => state.width > 0);
  const near = !isFar && (hasSize || !isLarge);
  const onDoubleClick = useCallback((event: MouseEvent) => {
    if (!(event.target instanceof Element) || !event.target.closest(".react-flow__pane")) return;
    useView.setState({ search: { at: toCanvas([event.clientX, event.clientY]) } });
  }, []);
  const enter = useCallback((_: MouseEvent, node: ShownNode) => {
    const tab = activeTab(useWorkflows.getState());
    const type = tab?.workflow.graphs[shownGraph(tab)]?.nodes[node.id]?.type;
    if (tab && type !== undefined && tab.workflow.graphs[type])
      updateTab(tab.id, {
        inside: [...tab.inside, node.id],
        selection: NOTHING,
      });
  }, []);
  const pickFar = useCallback(
    (event: MouseEvent) => {
      if (!isFar) return;
      const found = hit(boxes(latest.current), toCanvas([event.clientX, event.clientY]));
      select({ nodes: new Set(found ? [found.id] : []) });
    },
    [isFar],
  );
  const viewport = useRef(useView.getState().viewports[place]).current;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keyboard has the search command
    <div className="canvas" onDoubleClick={onDoubleClick}>
      <ReactFlow<ShownNode, ShownLink>
        aria-label={t("canvas.name")}
        nodes={near ? nodes : []}
        edges={near ? edges : []}
        nodeTypes={NODE_TYPES}
        edgeTypes={LINK_TYPES}
        onNodesChange={onNodesChange}
        onEdgesChange={onEdgesChange}
        onNodeDragStop={onNodeDragStop}
        onSelectionDragStop={(_, moved) => dragged(new Map(moved.map((n) => [n.id, [n.position.x, n.position.y]])))}
        onNodeDoubleClick={enter}
        onPaneClick={pickFar}
        isValidConnection={isValid}
        onConnect={onConnect}
        onConnectStart={(_, { nodeId, handleId, handleType }) => {
          const node = nodeId ?? "";
          const side = handleType === "source" ? "out" : "in";
          useWiring.setState({ wire: { node, side, type: typeOf(node, handleId) } });
        }}
        onConnectEnd={onConnectEnd}
        onReconnect={(_, wire) => onConnect(wire)}
        onReconnectEnd={(_, link, __, state) => !state.isValid && unwired(link.id)}
        onMoveEnd={(_, { x, y, zoom }) =>
          useView.setState((view) => ({ viewports: { ...view.viewports, [place]: { x, y, zoom } } }))
        }
        {...(viewport ? { defaultViewport: viewport } : { fitView: !isLarge })}
        minZoom={0.05}
        maxZoom={4}
        onlyRenderVisibleElements={isLarge}
        elevateNodesOnSelect={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        zoomOnDoubleClick={false}
        selectionMode={SelectionMode.Partial}
        multiSelectionKeyCode={["Shift", "Meta", "Control"]}
        snapToGrid={snap}
        snapGrid={SNAP}
        noWheelClassName="nowheel"
      >
        <Background gap={20} />
        {minimap && !isFar && projected.length <= MOST_IN_MINIMAP && (
          <MiniMap pannable zoomable ariaLabel={t("canvas.minimap")} />
        )}
        {isFar && <FarCanvas nodes={projected} links={links} selected={selection.nodes} />}
      </ReactFlow>
    </div>
  );
}

function isSelected(selection: Selection, id: string): boolean {
  const group = groupOf(id);
  return group === undefined ? selection.nodes.has(id) : selection.groups.has(group);
}

function endOf(node: string, handle: string | null | undefined): End | undefined {
  return handle?.startsWith("out-") ? { node, slot: Number(handle.slice("out-".length)) } : undefined;
}

const nameOf = (handle: string | null | undefined): string => handle?.slice("in-".length) ?? "";

/** The type of a socket that is on the page. */
function typeOf(node: string, handle: string | null | undefined): string {
  const socket = document.querySelector(`[data-testid="socket-${CSS.escape(node)}-${CSS.escape(handle ?? "")}"]`);
  return socket?.getAttribute("data-type") ?? "*";
}

const boxes = (nodes: readonly ShownNode[]) =>
  nodes
    .filter((node) => node.type === "node")
    .map(({ id, position, width = 0, height = 0 }) => ({ id, ...position, width, height }));
