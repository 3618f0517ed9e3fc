import type { Model } from "../../api/types";
import { Prose } from "../../components/Prose";

const text = (it: Model) => [it.name, it.title, it.video ? "video" : "image images", ...it.trains, it.fp8 ? "fp8" : "", it.full_finetune ? "full finetune" : ""].join(" ").toLowerCase();

export function ModelCards({ models, words, choose }: { models: Model[]; words: string; choose: (name: string) => void }) {
  const shown = models.filter((it) => words.toLowerCase().split(/\s+/).every((word) => text(it).includes(word)));
  if (models.length > 0 && shown.length === 0) return <p className="empty">No model type is like that.</p>;
  return (
    <ul className="cards">
      {shown.map((it) => (
        <li key={it.name}>
          <button className="card" onClick={() => choose(it.name)}>
            <span className="row"><strong className="grow"><Prose text={it.title} /></strong><code className="small muted">{it.name}</code></span>
            <span className="small muted">{it.video ? `Images and videos, ${it.video}` : "Images"}</span>
            <span className="row tags">
              {it.trains.map((one) => <span key={one} className="badge plain">{one}</span>)}
              {it.fp8 && <span className="badge plain tone-info">fp8</span>}
              {it.swap && <span className="badge plain tone-info" title={it.swap}>block swap</span>}
            </span>
          </button>
        </li>
      ))}
    </ul>
  );
}
