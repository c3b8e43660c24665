// The page of examples/metrics.lua: finds both lines on the canvas by their colours and watches them move.

import { browser } from "./driver.mjs";

// Runs in the page: where the line of this CSS colour begins and ends, in pixels of the canvas; null if nothing
// of this colour is as wide as a line from one measurement to the next.
function findLine(name) {
  const canvas = document.getElementById("chart");
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let left = Infinity;
  let right = -Infinity;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] > 200 && color.every((value, index) => Math.abs(value - data[at + index]) < 20)) {
      const x = (at / 4) % width;
      left = Math.min(left, x);
      right = Math.max(right, x);
    }
  }
  const dot = 8;
  return right - left > dot ? { left, right } : null;
}

browser(async ({ page, url }) => {
  await page.addInitScript(`window.findLine = ${findLine}`);
  await page.goto(url);
  await page.waitForSelector("#state[data-state=live]");
  const lines = {};
  for (const name of ["--cpu", "--memory"]) {
    const before = await (await page.waitForFunction(findLine, name)).jsonValue();
    await page.waitForFunction(
      ([color, left]) => window.findLine(color)?.left < left - 2,
      [name, before.left],
    );
    lines[name] = { before, after: await page.evaluate(findLine, name) };
  }
  const text = (id) => page.innerText(`#${id}`);
  return { lines, state: await text("state"), cpu: await text("cpu"), memory: await text("memory"), load: await text("load") };
});
