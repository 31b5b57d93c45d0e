"use strict";
(() => {
  const PAGE = 60;
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  if (!data.cards.length) return;

  const cards = data.cards;
  const chunks = new Map();
  let place = 0;
  cards.forEach((card, at) => {
    if (at % data.chunk === 0) place = 0;
    card.at = at;
    card.line = place;
    place += card.pictures;
  });

  const error = (card) =>
    -Math.log(card.target ? card.probability : 1 - card.probability);
  const orders = {
    given: (a, b) => a.at - b.at,
    wrong: (a, b) => error(b) - error(a) || a.at - b.at,
    uncertain: (a, b) =>
      Math.abs(a.probability - 0.5) - Math.abs(b.probability - 0.5) || a.at - b.at,
    probable: (a, b) => b.probability - a.probability || a.at - b.at,
    improbable: (a, b) => a.probability - b.probability || a.at - b.at,
  };

  const grid = find("cards"), viewer = find("viewer"), choices = [...document.querySelectorAll(".choice")];
  const state = { group: null, first: 0, shown: cards, open: 0 };
  grid.classList.toggle("pairs", cards.some((card) => card.pictures > 1));
  document.querySelector(".maps").hidden = !cards.some((card) => card.heatmap);

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;  // never as HTML, as names are of unknown origin
    return made;
  }

  function pictures(card) {
    const chunk = Math.floor(card.at / data.chunk);
    if (!chunks.has(chunk)) chunks.set(chunk, find(`pictures-${chunk}`).textContent.split("\n"));
    return chunks.get(chunk).slice(card.line, card.line + card.pictures);
  }

  function heatmap(card) {
    const [height, width, text] = card.heatmap;
    const canvas = element("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
    const cells = atob(text);
    for (let at = 0; at < cells.length; at++) {
      pixels.data.set([255, 32, 0, 0.7 * cells.charCodeAt(at)], 4 * at);
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  function show(card, frame) {
    pictures(card).forEach((text, index) => {
      const picture = element("span", "picture"), image = element("img");
      image.src = `data:image/webp;base64,${text}`;
      image.alt = "";
      image.decoding = "async";
      picture.append(image);
      if (!index && card.heatmap) picture.append(heatmap(card));
      frame.append(picture);
    });
  }

  const percent = (p) => {
    if (p > 0.9999) return "over 99.99 %";
    if (p < 0.0001) return "below 0.01 %";
    return `${(100 * p).toFixed(Math.min(p, 1 - p) < 0.01 ? 2 : 1)} %`;
  };
  const label = (target) => (target ? "shows a mask" : "shows none");
  const isMissed = (card) => card.group === "fp" || card.group === "fn";

  function cardElement(card) {
    const item = element("li"), button = element("button"), frame = element("span", "frame");
    button.type = "button";
    if (card.pictures) {
      show(card, frame);
      button.append(frame);
    }
    if (card.probability !== null) {
      const bar = element("span", "bar"), fill = element("i"), said = element("span", "said");
      fill.style.width = `${100 * card.probability}%`;
      bar.append(fill);
      said.append(percent(card.probability));
      if (card.target !== null) {
        said.append(" · ", element("span", isMissed(card) ? "missed" : "", label(card.target)));
      }
      button.append(bar, said);
    }
    button.append(element("span", "name", card.name));
    if (card.detail) button.append(element("span", "name", card.detail));
    button.addEventListener("click", () => view(state.shown.indexOf(card)));
    item.append(button);
    return item;
  }

  function draw() {
    const total = state.shown.length, pages = Math.max(1, Math.ceil(total / PAGE));
    const last = Math.min(state.first + PAGE, total);
    grid.replaceChildren(...state.shown.slice(state.first, last).map(cardElement));
    const of = total === cards.length ? "" : ` of ${cards.length.toLocaleString("en")}`;
    find("status").textContent = total
      ? `${(state.first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${total.toLocaleString("en")}${of && `, chosen out${of}`}`
      : "No image matches.";
    find("place").textContent = `page ${Math.floor(state.first / PAGE) + 1} of ${pages}`;
    find("previous").disabled = !state.first;
    find("next").disabled = last >= total;
  }

  function choose() {
    const words = find("search").value.toLowerCase();
    state.shown = cards
      .filter((card) => state.group === null || card.group === state.group)
      .filter((card) => card.name.toLowerCase().includes(words))
      .sort(orders[find("order").value]);
    state.first = 0;
    draw();
  }

  function turn(by) {
    state.first += by * PAGE;
    draw();
    find("gallery").scrollIntoView();
  }

  function view(at) {
    const card = state.shown[at], stage = viewer.querySelector(".stage");
    state.open = at;
    stage.replaceChildren();
    stage.classList.toggle("heatmaps", find("heatmaps").checked);
    stage.classList.toggle("pairs", card.pictures > 1);
    show(card, stage);
    const facts = [["image", card.name]];
    if (card.probability !== null) facts.push(["probability", String(card.probability)]);
    if (card.target !== null) facts.push(["label", label(card.target)]);
    if (card.detail) facts.push(["more", card.detail]);
    viewer.querySelector("dl").replaceChildren(
      ...facts.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
    find("earlier").disabled = at === 0;
    find("later").disabled = at === state.shown.length - 1;
    if (!viewer.open) viewer.showModal();
  }

  choices.forEach((button) => button.addEventListener("click", () => {
    state.group = state.group === button.dataset.group ? null : button.dataset.group;
    choices.forEach((each) =>
      each.setAttribute("aria-pressed", String(each.dataset.group === state.group)));
    choose();
  }));
  find("order").addEventListener("change", choose);
  find("search").addEventListener("input", choose);
  find("heatmaps").addEventListener("change", (event) =>
    grid.classList.toggle("heatmaps", event.target.checked));
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  find("previous").addEventListener("click", () => turn(-1));
  find("next").addEventListener("click", () => turn(1));
  const step = (by) => state.shown[state.open + by] && view(state.open + by);
  find("earlier").addEventListener("click", () => step(-1));
  find("later").addEventListener("click", () => step(1));
  find("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  grid.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const buttons = [...grid.querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement) + by]?.focus();
  });
  choose();
})();
