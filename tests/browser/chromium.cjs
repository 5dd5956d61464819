// Opens pages in headless Chromium for the scripts beside this one. The packages come from NODE_PATH, the browser
// from CHROMIUM; both are set by the tests.
const { chromium } = require("playwright-core");

// Runs `check(page, answer)` on a page of usual size. Fails where the page reports an error, opens a dialog that is
// not a prompt for which `answer(text)` left an answer, or asks anything of any other machine.
exports.withPage = async (check) => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      // speedscope draws with WebGL, which needs a renderer in software where there is no graphics card.
      "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader",
    ],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
    const complaints = [];
    const answers = [];
    page.on("pageerror", (error) => complaints.push(`error: ${error}`));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`console: ${message.text()}`);
    });
    page.on("request", (request) => {
      if (!/^(file|data|blob):/.test(request.url())) complaints.push(`request: ${request.url()}`);
    });
    page.on("dialog", (dialog) => {
      if (dialog.type() === "prompt" && answers.length > 0) return dialog.accept(answers.shift());
      complaints.push(`${dialog.type()}: ${dialog.message()}`);
      return dialog.dismiss();
    });
    await check(page, (text) => answers.push(text));
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
};

// Takes a picture where PYPROF_SCREENSHOTS names a directory.
exports.screenshot = async (page, name) => {
  const directory = process.env.PYPROF_SCREENSHOTS;
  if (directory) await page.screenshot({ path: `${directory}/${name}.png` });
};
