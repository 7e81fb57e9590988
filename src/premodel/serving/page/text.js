"use strict";

// A text from its box; page.js sends it.

const send = () => ask(new Blob([byId("text").value]));
byId("write").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
});
