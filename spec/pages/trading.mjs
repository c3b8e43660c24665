// The page of examples/trading.lua: live, then cut off by the spec and back by itself, then disconnected and
// connected again by its button.

import { browser, report, told } from "./driver.mjs";

// Runs in the page: all of one moment, so that the count and the last id belong together.
function look() {
  const text = (id) => document.getElementById(id).textContent;
  const cells = (selector) => [...document.querySelectorAll(selector)].map((cell) => cell.textContent);
  return {
    state: text("state"),
    count: Number(text("count")),
    last_id: text("last-id"),
    caught_up: text("caught-up"),
    symbols: cells("#prices th"),
    prices: cells("#prices .price"),
  };
}

browser(async ({ page, url }) => {
  const waitState = (state) => page.waitForSelector(`#state[data-state=${state}]`);
  const waitMore = (count) =>
    page.waitForFunction((before) => Number(document.getElementById("count").textContent) > before, count);

  // What comes within 0.3 s of the return counts as caught up. The page's clock stands still, so that this does
  // not depend on the machine: all that comes after the return counts.
  await page.addInitScript(() => {
    performance.now = () => 0;
  });
  await page.goto(url);
  await waitState("live");
  await page.waitForFunction(() => document.querySelectorAll("#prices tr").length === 3);
  const first = await page.evaluate(look);
  report("live", first);
  await page.waitForFunction(
    (before) => [...document.querySelectorAll("#prices .price")].some((cell, index) => cell.textContent !== before[index]),
    first.prices,
  );
  report("moved", await page.evaluate(look));

  await waitState("waiting");
  const lost = await page.evaluate(look);
  report("lost", lost);
  await waitState("live");
  await waitMore(lost.count + 2);
  report("back", await page.evaluate(look));

  await page.click("#toggle");
  await waitState("closed");
  const { count } = await page.evaluate(look);
  report("disconnected", await page.innerText("#state"));
  await told("go on");
  await page.click("#toggle");
  await waitState("live");
  await waitMore(count + 2);
  return page.evaluate(look);
});
