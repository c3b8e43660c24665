// The page of examples/activity.lua: sees what the spec posts, shows one type only, and posts through its form:
// a deploy, which it must not see now, and a comment. Users are listed newest first.

import { browser, report } from "./driver.mjs";

browser(async ({ page, url }) => {
  const users = () => page.$$eval("#feed strong", (all) => all.map((user) => user.textContent));
  const waitItems = (count) =>
    page.waitForFunction((wanted) => document.querySelectorAll("#feed li").length === wanted, count);
  const post = async (type, text) => {
    await page.selectOption("[name=type]", type);
    await page.fill("[name=user]", "Eve");
    await page.fill("[name=text]", text);
    await page.click("#form button");
    await page.waitForFunction(() => document.querySelector("[name=text]").value === "");
  };

  await page.goto(url);
  await page.waitForSelector("#state[data-state=live]");
  await waitItems(10);
  report("all", await users());
  await waitItems(11);
  report("outside", await page.$eval("#feed li", (item) => [...item.children].map((part) => part.textContent)));

  await page.getByLabel("Comments").check();
  await waitItems(3);
  report("comments", await users());

  await post("deploy", "unseen here");
  await post("comment", "hello");
  await waitItems(4);
  return users();
});
