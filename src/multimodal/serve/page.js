// The page of a served model: what is filled in goes to /predict, what comes back is shown.
// Everything from the server is set as text, never as markup.
"use strict";

const told = JSON.parse(document.getElementById("model").textContent);
const form = document.getElementById("row");
const LEVEL = 0.9, PAUSE = 300, LEAST = 0.1, STRONGEST = 8;
const part = (id) => document.getElementById(id);
let asked = 0, timer = 0;

function make(tag, options = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "style") Object.assign(made.style, value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...inside);
  return made;
}

function number(value) {
  if (typeof value !== "number") return String(value);
  const large = Math.abs(value) >= 999.5;
  return value.toLocaleString("en", large ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 });
}

const withUnit = (value, unit) => (unit ? unit.replace("#", number(value)) : number(value));
const percent = (value) => `${(100 * value).toFixed(value < 0.995 && value > 0.005 ? 0 : 1)} %`;

function body() {
  const sent = new FormData();
  for (const field of told.fields) {
    const input = form.elements.namedItem(field.name);
    if (field.kind !== "image") sent.append(field.name, input.value);
    else for (const file of input.files) sent.append(field.name, file, file.name);
  }
  return sent;
}

async function ask(query) {
  const options = { method: "POST", body: body(), headers: { Accept: "application/json" } };
  let answer, found;
  try {
    answer = await fetch(`predict?model=${encodeURIComponent(told.name)}${query}`, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  try {
    found = await answer.json();
  } catch {
    throw new Error(`The server answered ${answer.status}.`);
  }
  if (!answer.ok) throw new Error(found.error || `The server answered ${answer.status}.`);
  return found;
}

function showFault(error) {
  part("fault").textContent = error ? error.message : "";
  part("fault").hidden = !error;
}

async function predict() {
  clearTimeout(timer);
  const own = ++asked;
  for (const head of document.querySelectorAll(".head")) head.classList.add("stale");
  try {
    const found = await ask(told.intervals ? `&level=${LEVEL}` : "");
    if (own !== asked) return; // something newer was asked meanwhile
    showFault(null);
    showPrediction(found.predictions[0]);
  } catch (error) {
    if (own === asked) showFault(error);
  }
}

function later() {
  clearTimeout(timer);
  part("explanation").classList.add("stale"); // it is of what was filled in before
  timer = setTimeout(predict, PAUSE);
}

function showPrediction(row) {
  const shown = [];
  for (const head of told.heads) shown.push(showHead(head, row));
  part("answer").replaceChildren(...shown);
  showRemarks(row.note || "", row.unusual || "");
}

function showHead(head, row) {
  const made = make("div", { className: "head" }, make("p", { className: "faint" }, head.name));
  const value = row[`${head.name}_prediction`];
  if (head.kind === "box") {
    const corners = ["xmin", "ymin", "xmax", "ymax"].map((each) => row[`${head.name}_${each}`]);
    const none = corners.some((each) => each === null || each === undefined);
    made.append(make("p", { className: "price" }, none ? "–" : corners.map(number).join(", ")));
    return made;
  }
  const none = value === null || value === undefined;
  made.append(make("p", { className: "price" }, none ? "–" : withUnit(value, head.unit)));
  const low = row[`${head.name}_low`], high = row[`${head.name}_high`];
  if (!none && typeof low === "number" && typeof high === "number") {
    const to = high + 0.15 * (high - Math.min(low, 0)), from = Math.min(low, 0), wide = to - from || 1;
    const at = (x) => `${(100 * (x - from)) / wide}%`;
    const span = make("div", { className: "span", "aria-hidden": "true" });
    span.append(make("i", { style: { left: at(low), width: `${(100 * (high - low)) / wide}%` } }));
    span.append(make("b", { style: { left: at(value) } }));
    made.append(span);
    made.append(make("p", {}, `${percent(LEVEL)} interval: ${number(low)} to ${withUnit(high, head.unit)}`));
  }
  const start = `${head.name}_probability_`;
  const classes = Object.entries(row).filter(([name, p]) => name.startsWith(start) && typeof p === "number");
  for (const [name, p] of classes.sort((one, other) => other[1] - one[1]).slice(0, 6)) {
    const bar = make("div", { className: "span", "aria-hidden": "true" }, make("i", { style: { width: `${100 * p}%` } }));
    made.append(make("div", { className: "class" }, make("span", {}, name.slice(start.length).replaceAll("_", " ")), bar, make("span", { className: "n" }, percent(p))));
  }
  return made;
}

function showRemarks(note, unusual) {
  const remarks = [...unusual.split("; ").filter(Boolean), ...note.split("; ").filter(Boolean)];
  // what is said of a cell stands at its field; that most cells are still empty is no news
  const rest = new Set(remarks.filter((each) => !/' is missing[,;]/.test(each)));
  for (const field of document.querySelectorAll(".field")) {
    const name = field.dataset.column;
    const own = remarks.filter((each) => each.startsWith(`${name}: `) || (each.includes(`'${name}'`) && rest.has(each)));
    for (const each of own) rest.delete(each);
    field.classList.toggle("odd", own.length > 0);
    const place = field.querySelector(".remark");
    place.textContent = own.map((each) => each.replace(`${name}: `, "").replace(`'${name}': `, "")).join("; ");
    place.hidden = !own.length;
  }
  const missing = remarks.filter((each) => /' is missing[,;]/.test(each)).length;
  const items = [...rest].map((each) => make("li", {}, each));
  if (missing) items.push(make("li", {}, `${missing} ${missing > 1 ? "columns are" : "column is"} not filled in, which training rows have`));
  const title = make("p", {}, unusual ? "Unlike the training rows: trust the prediction less" : "Remarks");
  part("remarks").replaceChildren(title, ...(items.length ? [make("ul", {}, ...items)] : []));
  part("remarks").hidden = !(items.length || unusual);
}

// Why

async function explain() {
  const button = part("why"), place = part("explanation");
  button.disabled = true;
  place.hidden = false;
  place.replaceChildren(make("p", { className: "faint" }, "Working it out, which takes some seconds …"));
  try {
    const found = await ask("&explain=true");
    showFault(null);
    place.replaceChildren(...explained(found.explanations[0]));
    place.classList.remove("stale");
    place.scrollIntoView({ block: "start" });
  } catch (error) {
    showFault(error);
    place.hidden = true;
  } finally {
    button.disabled = false;
  }
}

function explained(why) {
  if (!why.head) return [make("h2", {}, "Why"), make("p", {}, `There is no prediction to explain. ${why.remarks.join("; ")}`)];
  const unit = { factor: "a factor on it", amount: "an amount added to it", odds: "a factor on its odds" }[why.unit];
  const key = (colour) => make("span", { className: "key", style: { background: colour } });
  const shown = [
    make("h2", {}, `Why ${why.prediction}`),
    make("p", {}, `Explained is ${why.explained}; each part is ${unit}. `, key("#d55e00"), "raises it, ", key("#0072b2"), "lowers it."),
    make("p", { className: "faint" }, `Without anything the model predicts ${why.baseline_prediction}. From there:`),
    bars(why.groups.map((each) => ({ ...each, below: each.there ? "" : "missing" })), why.scale.width),
  ];
  for (const photo of why.photos) shown.push(...photoMaps(photo));
  for (const text of why.words) shown.push(...words(text, why));
  if (why.columns.length) {
    shown.push(make("h2", {}, "Columns"), make("p", { className: "faint" }, "Compared with a typical row of the training."));
    shown.push(bars(why.columns.map((each) => ({ ...each, below: below(each) })), why.scale.width));
  }
  return shown;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const below = (each) => (each.counts_as ? `${cut(each.value, 60)} is not known to the model` : `${cut(each.value || "missing", 60)}; typical: ${cut(each.typical, 40)}`);

function bars(rows, full) {
  const made = make("div", { className: "bars", role: "list" });
  for (const row of rows) {
    const wide = (50 * Math.min(Math.abs(row.score) / full, 1)).toFixed(1), left = row.score < 0 ? 50 - wide : 50;
    const bar = make("span", { className: `bar ${row.score > 0 ? "up" : "down"}`, style: { left: `${left}%`, width: `${wide}%` } });
    made.append(make("div", { className: "what", role: "listitem" }, row.name, ...(row.below ? [make("small", {}, row.below)] : [])));
    made.append(make("div", { className: "track", "aria-hidden": "true" }, ...(row.counts_as ? [] : [bar])), make("div", { className: "n" }, row.counts_as ? "not known" : row.effect));
  }
  return made;
}

function words(text, why) {
  const letters = Array.from(text.text), place = make("p", { className: "words" }); // positions count code points
  let last = 0;
  for (const word of text.words) {
    place.append(letters.slice(last, word.start).join(""));
    const share = Math.min(Math.abs(word.score) / why.scale.colour, 1), inside = letters.slice(word.start, word.end).join("");
    const colour = `rgba(${word.score > 0 ? "213,94,0" : "0,114,178"},${(0.55 * share).toFixed(2)})`;
    place.append(share < LEAST ? inside : make("mark", { title: word.effect, style: { background: colour } }, inside));
    last = word.end;
  }
  place.append(letters.slice(last).join(""));
  const ranked = [...text.words].sort((one, other) => Math.abs(other.score) - Math.abs(one.score)).slice(0, STRONGEST);
  const named = ranked.map((each) => ({ ...each, name: letters.slice(each.start, each.end).join("") }));
  return [make("h2", {}, why.words.length > 1 ? `Words of ${text.group}` : "Words"), place, bars(named, why.scale.width)];
}

function photoMaps(photo) {
  if (photo.fault) return [make("h2", {}, "Photo"), make("p", {}, photo.fault)];
  const names = { photo: "The photo, as the model sees it", looked_at: "Where the model looks", hidden: "What hiding a patch takes away" };
  const figures = Object.entries(names).filter(([name]) => photo[name]).map(([name, title]) =>
    make("figure", {}, make("img", { src: photo[name], alt: title }), make("figcaption", {}, title)));
  const none = photo.looked_at || photo.hidden ? [] : [make("p", { className: "faint" }, "The networks, which alone read photos, have no part in this prediction: nothing in the photo moved it.")];
  const largest = photo.hidden ? [make("p", { className: "faint" }, `The largest effect of a hidden patch is ${photo.largest.effect}.`)] : [];
  return [make("h2", {}, "Photo"), make("div", { className: "maps" }, ...figures), ...largest, ...none];
}

// Photos: chosen, dropped or pasted

function showPhotos(drop) {
  const input = drop.querySelector("input"), place = drop.querySelector(".shown");
  for (const old of place.querySelectorAll("img")) URL.revokeObjectURL(old.src);
  place.replaceChildren(...Array.from(input.files, (file) => make("img", { src: URL.createObjectURL(file), alt: file.name })));
  drop.querySelector(".clear").hidden = !input.files.length;
}

for (const drop of document.querySelectorAll(".drop")) {
  const input = drop.querySelector("input");
  const changed = () => { showPhotos(drop); later(); };
  input.addEventListener("change", changed);
  drop.querySelector(".clear").addEventListener("click", () => { input.value = ""; changed(); });
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const files = new DataTransfer();
    for (const file of event.dataTransfer.files) if (input.multiple || !files.items.length) files.items.add(file);
    if (files.items.length) { input.files = files.files; changed(); }
  });
}

if (form) {
  form.addEventListener("input", (event) => { if (event.target.type !== "file") later(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  form.addEventListener("reset", () => setTimeout(() => { document.querySelectorAll(".drop").forEach(showPhotos); part("explanation").hidden = true; predict(); }));
  if (part("why")) part("why").addEventListener("click", () => { predict(); explain(); });
}
