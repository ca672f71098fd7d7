import { type PointerEvent, useEffect, useRef, useState, type WheelEvent } from "react";
import { pictureUrl } from "@/api/view";
import { type Job, useRuns } from "@/store/runs";
import { useText } from "@/store/text";
import { useView } from "@/store/view";
import { PictureFacts } from "./jobs/PictureFacts";
import "./Lightbox.css";
import "./jobs/jobs.css";

const MOST_ZOOM = 16;

/** A picture that fills the window: arrows turn to others, the wheel zooms, dragging moves, Escape closes. */
export function Lightbox() {
  const lightbox = useView((view) => view.lightbox);
  const url = lightbox?.pictures[lightbox.at];
  if (!lightbox || url === undefined) return null;
  return <Shown key={url} url={url} at={lightbox.at} pictures={lightbox.pictures} />;
}

interface ShownProps {
  readonly url: string;
  readonly at: number;
  readonly pictures: readonly string[];
}

function Shown({ url, at, pictures }: ShownProps) {
  const t = useText();
  const dialog = useRef<HTMLDialogElement>(null);
  const [view, setView] = useState({ x: 0, y: 0, zoom: 1 });
  const [size, setSize] = useState<readonly [number, number]>();
  const job = useRuns((runs) => Object.values(runs.jobs).find((each) => has(each, url)));
  const name = new URL(url).searchParams.get("filename") ?? url;
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const turn = (by: number) => {
    const next = at + by;
    if (next >= 0 && next < pictures.length) useView.setState({ lightbox: { pictures, at: next } });
  };
  const close = () => useView.setState({ lightbox: undefined });
  const zoomBy = (factor: number) =>
    setView(({ x, y, zoom }) => {
      const to = Math.min(Math.max(zoom * factor, 1), MOST_ZOOM);
      return to === 1 ? { x: 0, y: 0, zoom: 1 } : { x: (x * to) / zoom, y: (y * to) / zoom, zoom: to };
    });
  const drag = ({ buttons, movementX, movementY }: PointerEvent) => {
    if (buttons === 1 && view.zoom > 1) setView({ ...view, x: view.x + movementX, y: view.y + movementY });
  };
  return (
    <dialog
      className="lightbox"
      ref={dialog}
      aria-label={name}
      onClose={close}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "ArrowRight") turn(1);
        else if (event.key === "ArrowLeft") turn(-1);
        else if (event.key === "+" || event.key === "=") zoomBy(1.5);
        else if (event.key === "-") zoomBy(1 / 1.5);
        else if (event.key === "0") setView({ x: 0, y: 0, zoom: 1 });
      }}
    >
      {/* biome-ignore lint/a11y/noStaticElementInteractions: keys of the dialog do the same */}
      <div
        className="stage"
        onWheel={({ deltaY }: WheelEvent) => zoomBy(deltaY < 0 ? 1.2 : 1 / 1.2)}
        onPointerMove={drag}
        onDoubleClick={() => (view.zoom > 1 ? setView({ x: 0, y: 0, zoom: 1 }) : zoomBy(4))}
      >
        <img
          src={url}
          alt={name}
          draggable={false}
          style={{ transform: `translate(${view.x}px, ${view.y}px) scale(${view.zoom})` }}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => setSize([naturalWidth, naturalHeight])}
        />
      </div>
      <aside>
        <div className="row">
          <button type="button" disabled={at === 0} aria-label={t("lightbox.before")} onClick={() => turn(-1)}>
            ←
          </button>
          <span className="dim">{t("lightbox.place", { n: at + 1, all: pictures.length })}</span>
          <button
            type="button"
            disabled={at === pictures.length - 1}
            aria-label={t("lightbox.next")}
            onClick={() => turn(1)}
          >
            →
          </button>
          <button type="button" className="close" onClick={close}>
            {t("lightbox.close")}
          </button>
        </div>
        <h2>{name}</h2>
        {size && <p className="dim">{size.join(" × ")}</p>}
        <PictureFacts url={url} name={name} job={job} onDone={close} />
      </aside>
    </dialog>
  );
}

const has = (job: Job, url: string): boolean => job.pictures.some((picture) => pictureUrl(picture) === url);
