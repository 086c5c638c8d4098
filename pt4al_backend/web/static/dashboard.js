// Keeps the page fresh without losing the place: fetches it again and swaps its <main>.
const EVERY = 2000;
const PATIENCE = 10000;

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok || (answer.status === 503 && page.querySelector("#worker"))) show(page); // 503: it says what is wrong
      else warn(`pt4al-backend answers with error ${answer.status}; trying again.`);
    } catch {
      warn("pt4al-backend does not answer; trying again.");
    }
  }
  setTimeout(refresh, EVERY);
}

function show(page) {
  const open = new Set([...document.querySelectorAll("details[open]")].map((element) => element.id));
  for (const element of page.querySelectorAll("details")) element.open = open.has(element.id);
  inZoneOfReader(page);
  document.querySelector("main").replaceWith(page.querySelector("main"));
}

// The server writes times in UTC: it does not know where the page is read.
function inZoneOfReader(page) {
  for (const time of page.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  }
}

// What else is on the page is no longer true.
function warn(sentence) {
  const lamp = document.querySelector("#worker");
  lamp.textContent = sentence;
  lamp.classList.add("off");
}

inZoneOfReader(document);
setTimeout(refresh, EVERY);
