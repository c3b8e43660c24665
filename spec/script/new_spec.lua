-- `sse-router new`: a script and a page to start from, which work as they are.

local uv = require "luv"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local page = require "spec.support.page"
local process = require "spec.support.process"
local server = require "spec.support.server"

local templates = { "feed", "private", "jobs", "metrics" }

describe("sse-router new", function()
  local folder

  before_each(function()
    folder = files.directory()
  end)
  after_each(server.stop_all)

  --- Not through server.run, whose further arguments ($SSE_ROUTER_ARGS) would come before "new".
  local function new(...)
    local binary = assert(uv.fs_realpath(server.binary))
    local child = process.spawn({ binary, "new", ... }, { cwd = folder })
    child:wait_exit()
    child:assert_no_report()
    return { status = child.status, stdout = child:text "stdout", stderr = child:text "stderr" }
  end

  --- Writes a template's files and serves them.
  local function start(template)
    assert.equal(0, new("my-feed", "--from", template).status)
    return server.start_file(folder .. "/my-feed.lua", { env = { FEED_TOKEN = "secret" } })
  end

  it("writes a script and its page, and says what to do next", function()
    local result = new "news"
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.matches("wrote news.lua and news.html\nnext: " .. uv.fs_realpath(server.binary) .. " --watch news.lua ",
      result.stdout, 1, true)
    assert.matches("channel(\"news\"", files.read(folder .. "/news.lua"), 1, true)
    assert.matches("<h1>news</h1>", files.read(folder .. "/news.html"), 1, true)
  end)

  it("writes what passes --check, from every template", function()
    for _, template in ipairs(templates) do
      local name = "my_" .. template
      assert.equal(0, new(name .. ".lua", "--from", template).status)
      local result = server.run({ "--check", name .. ".lua" }, { cwd = folder, env = { FEED_TOKEN = "x" } })
      assert.same({ 0, "" }, { result.status, result.stderr }, template)
      assert.matches("GET     / ", result.stdout, 1, true)
      for _, extension in ipairs { ".lua", ".html" } do
        assert.is_nil(files.read(folder .. "/" .. name .. extension):find "@")
      end
    end
  end)

  it("knows exactly these templates", function()
    local result = new("x", "--from", "none")
    assert.equal(2, result.status)
    assert.matches("there is no template 'none'", result.stderr, 1, true)
    local named = {}
    for name in result.stderr:match("templates ([%l ]+)\n"):gmatch "%l+" do
      named[#named + 1] = name
    end
    local expected = { table.unpack(templates) }
    table.sort(expected)
    assert.same(expected, named)
  end)

  it("never overwrites, and leaves no half", function()
    files.write(folder .. "/news.html", "mine")
    local result = new "news"
    assert.equal(3, result.status)
    assert.matches("will not overwrite 'news.html'", result.stderr, 1, true)
    assert.equal("mine", files.read(folder .. "/news.html"))
    assert.is_nil(files.read(folder .. "/news.lua"))
  end)

  it("writes into other folders, and says when it cannot", function()
    assert.equal(0, new(folder .. "/deep").status)
    assert.matches('sse.file "deep.html"', files.read(folder .. "/deep.lua"), 1, true)
    local result = new "nowhere/news"
    assert.equal(3, result.status)
    assert.matches("cannot write 'nowhere/news.lua': No such file", result.stderr, 1, true)
  end)

  it("refuses wrong arguments", function()
    for _, args in ipairs {
      {}, { "" }, { "a.b" }, { "7news" }, { "a b" }, { '"' }, { "a", "--from" }, { "a", "b" },
      { "a", "--form", "feed" }, { "a", "--from", "" }, { "a", "--from", ("x"):rep(1000) }, { ("x"):rep(101) },
      { ("x/"):rep(3000) .. "a" },
    } do
      local result = new(table.unpack(args))
      assert.equal(2, result.status, table.concat(args, " "))
      assert.matches("usage: sse-router new NAME", result.stderr, 1, true)
    end
  end)

  it("serves a feed", function()
    local router = start "feed"
    local listener = eventsource.open(router.port, "/events"):wait_open()
    assert.equal(201, http.post(router.port, "/events", { text = "hello" }).status)
    assert.equal("hello", listener:next_json().text)
    assert.equal(400, http.post(router.port, "/events", "{").status)
    local texts = page.run("new.mjs", { url = router.url .. "/", template = "feed" })
    assert.same({ "<i>hello</i>", "hello" }, texts)
  end)

  it("serves a private feed", function()
    local router = start "private"
    assert.equal(401, http.get(router.port, "/events").status)
    assert.equal(401, http.post(router.port, "/publish", "hello").status)
    assert.equal(200, http.post(router.port, "/publish?token=secret", "hello").status // 100 * 100)
    local listener = eventsource.open(router.port, "/events?token=secret")
    assert.equal("hello", listener:next().data)
    assert.equal("hello", page.run("new.mjs", { url = router.url .. "/", template = "private" }))
    assert.is_nil(router:log():find "secret")
  end)

  it("serves jobs", function()
    local router = start "jobs"
    assert.equal(404, http.get(router.port, "/jobs/1/events").status)
    assert.equal(100, page.run("new.mjs", { url = router.url .. "/", template = "jobs" }))
    local listener = eventsource.open(router.port, "/jobs/1/events")
    assert.equal(100, listener:next_json().percent)
    assert.equal("status 204", listener:wait_closed())
  end)

  it("serves metrics", function()
    local router = start "metrics"
    local listener = eventsource.open(router.port, "/events")
    assert.is_number(listener:next_json().memory)
    assert.equal("my-feed", page.run("new.mjs", { url = router.url .. "/", template = "metrics" }))
  end)
end)
