// examples/wire.html on any stream: waits until it shows `count` frames or notes and gives them as texts,
// the oldest first.

import { browser } from "./driver.mjs";

browser(async ({ page, url, count }) => {
  await page.goto(url);
  await page.waitForFunction((wanted) => document.querySelectorAll("#log li").length >= wanted, count);
  const frames = await page.$$eval("#log li p", (all) => all.map((item) => item.textContent));
  return { frames: frames.reverse(), state: await page.innerText("#state"), path: await page.inputValue("#path") };
});
