"use strict";

const token = document.getElementById("token");

/** The address and options of what a form asks, as fetch takes them. */
function question(form) {
  const query = new URLSearchParams();
  let path = form.dataset.path;
  for (const input of form.querySelectorAll("input[data-in]")) {
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(input.name, input.value);
  }
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  const options = { method: form.dataset.method, headers };
  const text = form.querySelector("textarea"), file = form.querySelector("input[type=file]");
  if (text) [options.body, headers["Content-Type"]] = [text.value, "application/json"];
  if (file) options.body = file.files[0] ?? Uint8Array.from(atob(file.dataset.example), (one) => one.charCodeAt(0));
  return [query.size ? `${path}?${query}` : path, options];
}

function add(to, kind, facts) {
  return to.appendChild(Object.assign(document.createElement(kind), facts));
}

/** What is shown of an answer's body: pictures as pictures, JSON with its lines, other bytes by their number. */
async function show(answer, output) {
  const kind = answer.headers.get("Content-Type") ?? "";
  if (kind.startsWith("image/")) {
    add(output, "img", { src: URL.createObjectURL(await answer.blob()), alt: "the answer" });
  } else if (kind.includes("json")) {
    const found = await answer.json();
    for (const one of found.candidates ?? []) {
      if (one.png) add(output, "img", { src: `data:image/png;base64,${one.png}`, alt: "a candidate" });
    }
    if (found.id) for (const input of document.querySelectorAll("input[name=job_id]")) input.value = found.id;
    add(output, "pre", { textContent: JSON.stringify(found, null, 2) });
  } else if (kind.startsWith("text/")) {
    add(output, "pre", { textContent: await answer.text() });
  } else {
    add(output, "pre", { textContent: `${(await answer.arrayBuffer()).byteLength} bytes of ${kind}` });
  }
}

async function send(event) {
  event.preventDefault();
  const form = event.target, output = form.querySelector("output"), button = form.querySelector("button");
  output.replaceChildren("…");
  button.disabled = true;
  try {
    const began = performance.now();
    const answer = await fetch(...question(form));
    const took = Math.round(performance.now() - began);
    output.replaceChildren();
    add(output, "div", { textContent: `${answer.status} in ${took} ms`, className: answer.ok ? "" : "bad" });
    await show(answer, output);
  } catch (error) {
    output.replaceChildren(`The server does not answer (${error.message}).`);
  }
  button.disabled = false;
}

for (const form of document.forms) form.addEventListener("submit", send);
