// Opens a profile with speedscope's own importer, in the way in which its command does, and prints the table of its
// view "Sandwich" for each profile of the file, as JSON: speedscope.cjs FILE PROFILES
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { withPage, screenshot } = require("./chromium.cjs");

const [file, profiles] = process.argv.slice(2);
const index = path.join(path.dirname(require.resolve("speedscope/package.json")), "dist/release/index.html");
const loader = `${path.resolve(file)}.js`;
const content = fs.readFileSync(file, "base64");
fs.writeFileSync(loader, `speedscope.loadFileFromBase64(${JSON.stringify(path.basename(file))}, "${content}")`);

withPage(async (page) => {
  await page.goto(`${pathToFileURL(index).href}#localProfilePath=${loader}`);
  await page.getByText("Left Heavy").waitFor();
  await screenshot(page, "speedscope");
  const seen = { title: "", profiles: [] };
  for (let i = 0; i < Number(profiles); i++) {
    if (i > 0) await page.keyboard.press("n");
    const name = page.getByText(`(${i + 1}/${profiles})`);
    await name.waitFor();
    await page.keyboard.press("3");
    await page.locator("table tr:has(td):visible").first().waitFor();
    await screenshot(page, `speedscope-${i}`);
    seen.profiles.push({
      name: await name.evaluate((node) => node.parentElement.innerText),
      rows: await page.locator("table tr:has(td):visible").evaluateAll((rows) =>
        rows.map((row) => Array.from(row.cells, (cell) => cell.innerText.trim())),
      ),
    });
  }
  seen.title = await page.title();
  console.log(JSON.stringify(seen));
});
