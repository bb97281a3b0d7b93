// What can be seen from within a page of its fitness for everybody: names, headings, landmarks, contrast. Its value is the faults.
(() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const isShown = (element) => element.checkVisibility() && !element.closest(".hush") && element.getClientRects().length > 0;
  const one = (selector) => { if (all(selector).length !== 1) faults.push(`${all(selector).length} of ${selector}`); };
  ["h1", "main", "body > header", "body > footer", "title"].forEach(one);
  if (!document.documentElement.lang) faults.push("no language");

  let level = 0;
  for (const heading of all("h1, h2, h3, h4").filter((heading) => heading.checkVisibility())) {
    const own = +heading.tagName[1];
    if (own > level + 1) faults.push(`${heading.textContent} skips a level`);
    level = own;
  }
  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, place) => ids.indexOf(id) !== place).forEach((id) => faults.push(`id ${id} twice`));
  for (const input of all("input")) if (!input.labels.length) faults.push(`${input.id} without a label`);
  for (const button of all("button")) if (!button.textContent.trim() && !button.hidden) faults.push("a button without a name");
  for (const svg of all("svg")) {
    const isNamed = svg.getAttribute("role") === "img" && svg.getAttribute("aria-label");
    if (!isNamed && !svg.closest("[aria-hidden]") ) faults.push("a drawing that is neither named nor hidden");
  }
  for (const table of all("table")) {
    if (!table.caption) faults.push("a table without a caption");
    for (const cell of table.querySelectorAll("thead th")) if (cell.scope !== "col") faults.push("a head without a scope");
  }
  for (const attribute of ["aria-labelledby", "aria-describedby", "for"]) {
    for (const element of all(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(" ")) if (!document.getElementById(id)) faults.push(`${attribute} to no ${id}`);
    }
  }
  for (const section of all("section")) if (!section.hasAttribute("aria-labelledby")) faults.push("a section without a name");

  const parsed = (text) => text.match(/[\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((part, place) => part * a + below[place] * (1 - a));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const color = parsed(getComputedStyle(element).backgroundColor);
    return color[3] === 0 ? behind(element.parentElement) : over(color, behind(element.parentElement));
  };
  const light = (color) => {
    const [r, g, b] = color.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = new Set();
  for (const element of all("body *")) {
    const isText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!isText || !isShown(element) || element.closest("svg, script, style")) continue;
    const ground = behind(element);
    const [dark, bright] = [light(over(parsed(getComputedStyle(element).color), ground)), light(ground)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    const name = `${element.tagName}.${element.className} ${element.dataset.tone || ""}`;
    if (contrast < 4.5 && !seen.has(name)) faults.push(`contrast ${contrast.toFixed(2)} of ${name}: ${element.textContent.slice(0, 30)}`);
    seen.add(name);
  }
  return faults;
})()
