-- examples/activity.lua: the last 10 first, then each new activity, all of them or one type; and its page.

local json = require "cjson"
local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local page = require "spec.support.page"
local server = require "spec.support.server"

local types = { "comment", "commit", "deploy", "signup" }

describe("examples/activity.lua", function()
  local router

  before_each(function()
    router = server.start_file "examples/activity.lua"
  end)

  after_each(server.stop_all)

  local function post(kind, user, text)
    return http.post(router.port, "/api/activity", { type = kind, user = user, text = text or "does something" })
  end

  --- Posts activities of all types in turn by the users "1", "2" and so on.
  local function post_many(count)
    for number = 1, count do
      assert.equal(201, post(types[(number - 1) % 4 + 1], tostring(number)).status)
    end
  end

  local function listen(query)
    return eventsource.open(router.port, "/api/activity-feed" .. (query or ""))
  end

  --- The users of the next events.
  local function users(listener, count)
    local list = {}
    for number, event in ipairs(listener:take(count)) do
      list[number] = json.decode(event.data).user
    end
    return table.concat(list, " ")
  end

  it("sends the last 10, then each new one", function()
    post_many(13)
    local listener = listen()
    assert.equal("4 5 6 7 8 9 10 11 12 13", users(listener, 10))
    assert.equal("4 5 6 7 8 9 10 11 12 13", users(listen "?type=", 10))
    local entry = post("signup", "Zoë", "came\nin"):json()
    assert.near(os.time(), entry.time, 60)
    entry.time = nil
    assert.same({ type = "signup", user = "Zoë", text = "came\nin" }, entry)
    local heard, event = listener:next_json()
    heard.time = nil
    assert.same(entry, heard)
    assert.equal("message", event.event)
    assert.not_equal("", event.id)
  end)

  it("sends the last 10 of one type, then the new ones of this type", function()
    post_many(60)
    local comments, commits = listen "?type=comment", listen "?type=commit"
    assert.equal("21 25 29 33 37 41 45 49 53 57", users(comments, 10))
    assert.equal("22 26 30 34 38 42 46 50 54 58", users(commits, 10))
    local watcher = curl.start { router.url .. "/api/activity-feed?type=comment" }
    watcher:wait_line("stdout", '"57"')
    post("commit", "a")
    post("comment", "b")
    post("deploy", "c")
    post("commit", "d")
    post("comment", "e")
    assert.equal("b e", users(comments, 2))
    assert.equal("a d", users(commits, 2))
    watcher:wait_line("stdout", '"e"')
    assert.is_nil(watcher:text("stdout"):find '"commit"')
  end)

  it("resumes a filtered stream", function()
    local comments = listen "?type=comment"
    comments:wait_open()
    post_many(5)
    assert.equal("1 5", users(comments, 2))
    comments:drop()
    post_many(6)
    assert.equal("1 5", users(comments, 2))
    assert.equal(2, comments.opened)
  end)

  it("refuses unknown types and what is no activity", function()
    local answer = http.get(router.port, "/api/activity-feed?type=nonsense")
    assert.equal(400, answer.status)
    assert.same({ error = "unknown type: nonsense", known = types }, answer:json())
    for _, body in ipairs {
      "", "{", "[]", "null", "5", '{"type":"comment"}', '{"type":"nonsense","user":"a","text":"b"}',
      '{"type":[],"user":"a","text":"b"}', '{"type":"comment","user":" ","text":"b"}',
      '{"type":"comment","user":"a","text":1}',
    } do
      assert.equal(400, http.post(router.port, "/api/activity", body).status, body)
    end
    local listener = listen()
    listener:wait_open()
    post("comment", "the first")
    assert.equal("the first", users(listener, 1))
  end)

  it("has a page that filters by type and posts", function()
    post_many(12)
    local session = page.start("activity.mjs", router.url .. "/")
    local last_ten = { "12", "11", "10", "9", "8", "7", "6", "5", "4", "3" }
    assert.same(last_ten, session:wait_report "all")
    post("deploy", "from outside", "<i>1.0</i>")
    local newest = session:wait_report "outside"
    assert.same({ "deploy", "from outside <i>1.0</i>", "just now" }, newest)
    assert.same({ "9", "5", "1" }, session:wait_report "comments")
    local deploys = listen "?type=deploy"
    assert.equal("3 7 11 from outside", users(deploys, 4))
    assert.same({ "Eve", "9", "5", "1" }, session:finish())
    assert.equal("Eve", users(deploys, 1))
  end)
end)
