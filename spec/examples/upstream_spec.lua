-- examples/upstream.lua: two feeds of other routers as one.

local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local page = require "spec.support.page"
local server = require "spec.support.server"

local feed = [[
  local sse = require "sse"
  local news = sse.channel "news"
  sse.get("/news", news)
  sse.publisher("/news", { channel = news })
]]

describe("examples/upstream.lua", function()
  local first, second, router

  before_each(function()
    first, second = server.start(feed), server.start(feed)
    router = server.start_file("examples/upstream.lua", {
      env = { FEEDS = first.url .. "/news " .. second.url .. "/news" },
    })
    loop.eventually(function()
      local feeds = http.get(router.port, "/feeds"):json()
      return feeds[1].state == "open" and feeds[2].state == "open"
    end, nil, "both feeds")
  end)

  after_each(server.stop_all)

  local function publish(source, name, data)
    local answer = http.post(source.port, "/news", data, { Event = name })
    assert.equal(201, answer.status)
    return { event = name, data = data, id = answer:json().id }
  end

  it("sends the events of both with their names and ids, and resumes", function()
    local client = eventsource.open(router.port, "/merged")
    local watcher = curl.start { router.url .. "/merged?last_event_id=earliest" }
    client:wait_open()
    local wanted = {}
    for index, source in ipairs { first, second, first, second } do
      wanted[index] = publish(source, "n" .. index, tostring(index))
      local event = client:next()
      assert.same(wanted[index], { event = event.event, data = event.data, id = event.id })
    end
    local back = eventsource.open(router.port, "/merged", { last_event_id = wanted[2].id })
    assert.equal("3", back:next().data)
    watcher:wait_line("stdout", "^id: " .. wanted[4].id:gsub("%p", "%%%0") .. "$")
    local feeds = http.get(router.port, "/feeds"):json()
    assert.same({ url = first.url .. "/news", state = "open", last_event_id = wanted[3].id }, feeds[1])
  end)

  it("listens, unless it is told where, to what the examples that its first lines start serve", function()
    local text = files.read "examples/upstream.lua"
    local default = text:match 'getenv "FEEDS" or "([^"]*)"'
    local count = 0
    for example, authority in text:gmatch "%-%-   %./dev run (%S+) %-%-listen (%S+)" do
      local path = default:match("http://" .. authority:gsub("%p", "%%%0") .. "(/%S*)")
      assert.matches("GET     " .. path .. " ", server.run({ "--check", example }).stdout, 1, true)
      count = count + 1
    end
    assert.equal(2, count)
  end)

  it("lets a listener choose one", function()
    local client = eventsource.open(router.port, "/merged?from=:" .. second.port)
    client:wait_open()
    publish(first, "a", "1")
    publish(second, "b", "2")
    assert.equal("2", client:next().data)
  end)

  it("shows them on a page", function()
    local session = page.start("wire.mjs", { url = router.url .. "/", count = 3 })
    loop.eventually(function()
      publish(first, "a", "1")
      publish(second, "b", "2")
      loop.holds(function()
        return true
      end, 0.2, "a moment for the page")
      return session.process.status
    end, 30, "the page")
    local shown = session:finish()
    assert.equal("/merged", shown.path)
    assert.matches("id: %S+\nevent: %a\ndata: %d", table.concat(shown.frames, "\n"))
  end)
end)
