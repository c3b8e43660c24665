// The page of examples/logs.lua: what it shows without a filter, with one that is typed, and after lines have come.
// Texts and marked texts of the lines, the oldest first.

import { browser, report, told } from "./driver.mjs";

browser(async ({ page, url }) => {
  const texts = (selector) => page.$$eval(selector, (all) => all.map((item) => item.textContent));
  const waitLines = (count) =>
    page.waitForFunction((wanted) => document.querySelectorAll("#lines li").length === wanted, count);
  const shown = async () => ({
    lines: await texts("#lines li"),
    marks: await texts("#lines mark"),
    count: await page.innerText("#count"),
    state: await page.innerText("#state"),
    curl: await page.innerText("#curl"),
  });

  await page.goto(url);
  await waitLines(await told("lines"));
  report("all", await shown());

  await page.fill("#filter", "ERROR <b>");
  await waitLines(await told("filtered"));
  report("filtered", await shown());
  await waitLines(await told("more"));
  report("more", await shown());

  await page.reload();
  await waitLines(await told("again"));
  return { ...(await shown()), filter: await page.inputValue("#filter") };
});
