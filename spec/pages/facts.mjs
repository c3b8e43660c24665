// The page of examples/facts.lua: posts a fact through its form, sees one from outside, and comes back to a
// server that was started again. Rows are given as lists of texts, the newest first.

import { browser, report } from "./driver.mjs";

browser(async ({ page, url }) => {
  const rows = () => page.$$eval("#rows tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
  const waitRows = (count) =>
    page.waitForFunction((wanted) => document.querySelectorAll("#rows tr").length === wanted, count);
  const waitState = (state) => page.waitForSelector(`#state[data-state=${state}]`);
  const post = async (fact, source) => {
    await page.fill("[name=fact]", fact);
    await page.fill("[name=source]", source);
    await page.click("#form button");
  };

  await page.goto(url);
  await waitState("live");
  report("live", await page.innerText("#empty"));

  await post("  ", "nobody");
  await page.waitForSelector("#problem:not(:empty)");
  report("refused", await page.innerText("#problem"));

  await post("Bees dance.", "https://bees.example/dance");
  await waitRows(1);
  report("posted", await rows());
  await waitRows(2);
  report("from outside", await rows());

  await waitState("waiting");
  report("lost");
  await waitState("live");
  await waitRows(1);
  return rows();
});
