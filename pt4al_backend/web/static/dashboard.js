// Keeps the page up to date without losing the scroll position: fetches it again and replaces its <main>.
const EVERY = 4000;
const PATIENCE = 10000;

let shown = ""; // what the server sent last

async function refresh() {
  if (!document.hidden) {
    try {
      const response = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (response.ok || (response.status === 503 && page.querySelector("#worker"))) show(page); // 503: says what is wrong
      else warn(`pt4al-backend responds with error ${response.status}; trying again.`);
    } catch {
      warn("pt4al-backend does not respond; trying again.");
    }
  }
  setTimeout(refresh, EVERY);
}

function show(page) {
  const sent = page.querySelector("main").innerHTML.replace(/name="token" value="[^"]*"/g, "");
  if (sent === shown) return; // nothing flickers, and what has the focus keeps it
  shown = sent;
  const open = new Set([...document.querySelectorAll("details[open]")].map((element) => element.id));
  for (const element of page.querySelectorAll("details")) element.open = open.has(element.id);
  inZoneOfReader(page);
  document.querySelector("main").replaceWith(page.querySelector("main"));
}

// The server writes times in UTC, because it does not know the reader's time zone.
function inZoneOfReader(page) {
  for (const time of page.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  }
}

// The rest of the page is out of date now.
function warn(sentence) {
  const lamp = document.querySelector("#worker");
  lamp.textContent = sentence;
  lamp.classList.add("off");
}

inZoneOfReader(document);
setTimeout(refresh, EVERY);
