// Uses a flame graph as a person would, and prints what there was to see, as JSON:
// flamegraph.cjs FILE SEARCH FRAME [FRAME...]: searches, and zooms into each frame by a click
const { pathToFileURL } = require("node:url");
const { withPage, screenshot } = require("./chromium.cjs");

const [file, searched, ...frames] = process.argv.slice(2);

// What the page shows: its texts, and every box with its tooltip, its text, its colour and where it is.
const look = (page) =>
  page.evaluate(() => {
    const text = (id) => {
      const node = document.getElementById(id);
      return getComputedStyle(node).display === "none" ? "" : node.textContent.trim();
    };
    const boxes = Array.from(document.getElementById("frames").children, (group) => {
      const rect = group.querySelector("rect");
      const { x, y, width } = rect.getBoundingClientRect();
      return {
        tooltip: group.querySelector("title").textContent,
        text: group.querySelector("text").textContent,
        text_width: group.querySelector("text").getComputedTextLength(),
        fill: rect.getAttribute("fill"),
        visible: getComputedStyle(group).display !== "none",
        x,
        y,
        width,
      };
    });
    const ids = ["title", "subtitle", "legend", "details", "matched", "search", "unzoom"];
    return { ...Object.fromEntries(ids.map((id) => [id, text(id)])), hacked: "hacked" in window, boxes };
  });

withPage(async (page, answer) => {
  await page.goto(pathToFileURL(file).href);
  // inferno's script fits the picture to the window soon after it was loaded, and drops the view box when it does.
  await page.waitForFunction(() => !document.documentElement.hasAttribute("viewBox"));
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 0)));
  const box = (name) => page.locator("#frames > g").filter({ has: page.locator("title", { hasText: name }) }).first();
  const seen = { opened: await look(page), zoomed: {} };
  await screenshot(page, "opened");

  await box(frames[0]).hover();
  seen.hovered = await look(page);
  for (const frame of frames) {
    await box(frame).click();
    await page.mouse.move(0, 0);
    seen.zoomed[frame] = await look(page);
    if (frame === frames[0]) await screenshot(page, "zoomed");
    await page.locator("#unzoom").click();
  }
  await page.mouse.move(0, 0);
  seen.unzoomed = await look(page);

  answer(searched);
  await page.locator("#search").click();
  await page.mouse.move(0, 0);
  seen.searched = await look(page);
  await screenshot(page, "searched");
  await page.locator("#search").click();
  await page.mouse.move(0, 0);
  seen.reset = await look(page);
  console.log(JSON.stringify(seen));
});
