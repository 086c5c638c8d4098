// Keeps the page fresh without losing the place: fetches it again and swaps its <main>.
const EVERY = 2000;

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const open = new Set([...document.querySelectorAll("details[open]")].map((element) => element.id));
        for (const element of page.querySelectorAll("details")) element.open = open.has(element.id);
        document.querySelector("main").replaceWith(page.querySelector("main"));
      }
    } catch {
      document.querySelector("#worker").textContent = "pt4al-backend does not answer; trying again.";
    }
  }
  setTimeout(refresh, EVERY);
}

setTimeout(refresh, EVERY);
