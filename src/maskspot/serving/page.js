"use strict";
(() => {
  const AT_ONCE = 4, TRIES = 8;
  const find = (id) => document.getElementById(id);
  const grid = find("cards"), viewer = find("viewer"), video = find("video");
  const waiting = [], cards = [];
  let token = "", locked = true, running = 0, canShow = true, shots = 0;

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;  // never HTML: names come from strangers
    return made;
  }

  const percent = (p) => {
    if (p > 0.9999) return "over 99.99 %";
    if (p < 0.0001) return "below 0.01 %";
    return `${(100 * p).toFixed(Math.min(p, 1 - p) < 0.01 ? 2 : 1)} %`;
  };

  const ask = (path, options = {}) => {
    const headers = { ...options.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    return fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  };
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  // --- The server: its model, and whether it requires a token.

  async function greet() {
    let answer;
    try {
      answer = await ask("v1/model");
    } catch {
      find("trouble").textContent = "The server cannot be reached.";
      locked = false;  // each picture will say so
      return;
    }
    locked = answer.status === 401;
    find("entry").hidden = !locked;
    if (locked) {
      find("refused").textContent = token ? "That is not the token." : "";
      find("token").focus();
      return;
    }
    const model = await answer.json();
    find("trouble").textContent = answer.ok ? "" : model.error;
    if (answer.ok) {
      canShow = model.heatmap;
      find("maps").hidden = !canShow;
      find("model").textContent = `Model: ${model.name}.`;
    }
    next();
  }

  // --- Pictures: in order, a few at a time.

  function add(files) {
    for (const file of files) {
      const card = makeCard(file);
      cards.push(card);
      waiting.push(card);
      grid.append(card.item);
    }
    tell();
    next();
  }

  function next() {
    while (!locked && waiting.length && running < AT_ONCE) {
      const card = waiting.shift();
      running += 1;
      score(card).finally(() => {
        running -= 1;
        tell();
        next();
      });
    }
  }

  async function score(card) {
    card.said.textContent = "Looking…";
    const type = card.file.type.startsWith("image/") ? card.file.type : "application/octet-stream";
    const options = { method: "POST", body: card.file, headers: { "Content-Type": type } };
    const path = canShow ? "v1/predict?heatmap=1" : "v1/predict";
    let answer, said;
    try {
      for (let tries = 0; tries < TRIES; tries++) {
        answer = await ask(path, options);
        if (answer.status !== 429) break;
        await pause(Number(answer.headers.get("Retry-After")) || 1);
      }
      said = await answer.json();
    } catch {
      return fail(card, "The server cannot be reached, or the connection broke.");
    }
    if (answer.status === 401) {  // it has another token now: ask for it and try again
      card.said.textContent = "Waiting…";
      waiting.unshift(card);
      return locked || greet();
    }
    if (!said.results) return fail(card, said.error);
    const [result] = said.results;  // with status 422 if the picture cannot be read
    if (result.error !== null) return fail(card, result.error);
    show(card, result);
  }

  function makeCard(file) {
    const item = element("li"), figure = element("figure"), frame = element("div", "frame");
    const picture = element("span", "picture"), image = element("img");
    const caption = element("figcaption"), bar = element("span", "bar"), fill = element("i");
    const said = element("span", "said", "Waiting…"), more = element("span", "more");
    image.src = URL.createObjectURL(file);
    image.alt = "";
    image.decoding = "async";
    image.addEventListener("error", () => frame.replaceChildren("No preview in this browser"));
    picture.append(image);
    frame.append(picture);
    bar.append(fill);
    caption.append(bar, said, element("span", "name", file.name), more);
    figure.append(frame, caption);
    item.append(figure);
    return { file, item, picture, image, fill, said, more, state: "waiting" };
  }

  function show(card, result) {
    card.state = "scored";
    card.fill.style.width = `${100 * result.probability}%`;
    card.said.textContent = `${percent(result.probability)} likely`;
    card.more.textContent = `${result.width} × ${result.height}, ${result.format}`;
    if (result.overlay) card.picture.append(drawn(result.overlay));
  }

  function fail(card, reason) {
    card.state = "failed";
    card.item.classList.add("failed");
    card.said.textContent = `Not scored: ${reason}`;
  }

  function drawn(rows) {
    const canvas = element("canvas");
    canvas.width = rows[0].length;
    canvas.height = rows.length;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    rows.flat().forEach((strength, at) => {
      pixels.data.set([255, 32, 0, 0.7 * 255 * strength], 4 * at);
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  function tell() {
    const scored = cards.filter((card) => card.state === "scored").length;
    const failed = cards.filter((card) => card.state === "failed").length;
    const words = [`${scored} of ${plural(cards.length, "picture")} scored`];
    if (failed) words.push(`${failed} could not be`);
    find("status").textContent = cards.length ? `${words.join(", ")}.` : "";
    find("clear").hidden = !cards.length;
  }

  function clear() {
    cards.forEach((card) => URL.revokeObjectURL(card.image.src));
    cards.length = waiting.length = 0;
    grid.replaceChildren();
    tell();
    find("choose").focus();
  }

  // --- The camera.

  async function film() {
    find("trouble").textContent = "";
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
    } catch (problem) {
      const safe = window.isSecureContext ? "" : " Browsers require https or localhost.";
      find("trouble").textContent = `This page has no access to a camera.${safe}`;
      return;
    }
    viewer.showModal();
    await video.play();
  }

  function take() {
    const canvas = element("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    shots += 1;
    const name = `camera-${shots}.jpg`, type = "image/jpeg";
    canvas.toBlob((blob) => blob && add([new File([blob], name, { type })]), type, 0.92);
    viewer.close();
  }

  function stop() {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }

  // --- Events.

  const over = (yes) => document.body.classList.toggle("over", yes);
  document.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  document.addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    add(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData?.files ?? []));
  find("choose").addEventListener("click", () => find("files").click());
  find("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = "";  // the same file may be chosen again
  });
  find("camera").addEventListener("click", film);
  find("take").addEventListener("click", take);
  find("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", stop);
  find("heatmaps").addEventListener("change", (event) =>
    grid.classList.toggle("heatmaps", event.target.checked));
  find("clear").addEventListener("click", clear);
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  find("entry").addEventListener("submit", (event) => {
    event.preventDefault();
    token = find("token").value.trim();  // stored in this variable only
    find("token").value = "";
    greet();
  });
  greet();
})();
