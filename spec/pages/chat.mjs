// The page of examples/chat.lua, in two windows: each sees what the other and what the spec says, and who is here.

import { browser, report } from "./driver.mjs";

browser(async ({ page, context, url }) => {
  const rows = (window) =>
    window.$$eval("#messages li", (all) => all.map((item) => [...item.children].slice(0, 2).map((part) => part.textContent)));
  const waitRows = (window, count) =>
    window.waitForFunction((wanted) => document.querySelectorAll("#messages li").length === wanted, count);
  const waitState = (window, text) =>
    window.waitForFunction((wanted) => document.getElementById("state").textContent === wanted, text);
  const say = async (window, name, text) => {
    await window.fill("[name=name]", name);
    await window.fill("[name=text]", text);
    await window.click("#form button");
  };

  await page.goto(url);
  await waitRows(page, 1);
  await waitState(page, "Live · 1 here");
  const other = await context.newPage();
  await other.goto(url);
  await waitState(page, "Live · 2 here");
  await waitState(other, "Live · 2 here");
  report("here", await rows(other));

  await say(page, "Ada", "  ");
  await page.waitForSelector("#problem:not(:empty)");
  report("refused", await page.innerText("#problem"));
  await say(page, "Ada", "<b>Hello</b>");
  await waitRows(other, 2);
  await say(other, "Bo", "Hi Ada");
  await waitRows(page, 3);
  report("mine", await page.$$eval("[data-mine] strong", (all) => all.map((name) => name.textContent)));

  await other.close();
  await waitState(page, "Live · 1 here");
  return rows(page);
});
