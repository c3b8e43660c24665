-- examples/chat.lua: POST in, SSE out; and its page, in two windows.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local page = require "spec.support.page"
local server = require "spec.support.server"

describe("examples/chat.lua", function()
  local router

  before_each(function()
    router = server.start_file "examples/chat.lua"
  end)
  after_each(server.stop_all)

  local function say(name, text)
    return http.post(router.port, "/messages", { name = name, text = text })
  end

  local function listen()
    return eventsource.open(router.port, "/events")
  end

  --- The texts of the next messages; news of who is here are left out.
  local function texts(listener, count)
    local list = {}
    for number = 1, count do
      list[number] = listener:next_named("message").data:match '"text":"(.-)"'
    end
    return table.concat(list, " ")
  end

  it("sends the last 50 messages, then each new one to everyone", function()
    for number = 1, 60 do
      assert.equal(201, say("Ada", tostring(number)).status)
    end
    local first, second = listen(), listen()
    local last = {}
    for number = 11, 60 do
      last[#last + 1] = tostring(number)
    end
    assert.equal(table.concat(last, " "), texts(first, 50))
    texts(second, 50)
    local message = say("Zoë", "new"):json()
    assert.near(os.time(), message.time, 60)
    assert.equal("Zoë", message.name)
    assert.equal("new", texts(first, 1))
    assert.equal("new", texts(second, 1))
  end)

  it("tells how many are here", function()
    local first = listen()
    assert.equal('{"here":1}', first:next_named("people").data)
    local second = listen()
    assert.equal('{"here":2}', first:next_named("people").data)
    second:close()
    assert.equal('{"here":1}', first:next_named("people").data)
  end)

  it("resumes where a client was", function()
    local listener = listen()
    listener:wait_open()
    say("Ada", "one")
    assert.equal("one", texts(listener, 1))
    listener:drop()
    say("Ada", "two")
    say("Ada", "three")
    assert.equal("two three", texts(listener, 2))
    assert.equal(2, listener.opened)
  end)

  it("refuses what is no message", function()
    for _, body in ipairs {
      "", "{", "[]", "null", '{"name":"a"}', '{"name":" ","text":"b"}', '{"name":"a","text":1}',
      '{"name":"a","text":"' .. ("x"):rep(2001) .. '"}',
    } do
      local answer = http.post(router.port, "/messages", body)
      assert.equal(400, answer.status, body)
      assert.is_string(answer:json().error)
    end
    local listener = listen()
    say("a", "the first")
    assert.equal("the first", texts(listener, 1))
  end)

  it("has a page for two people who talk", function()
    say("Cy", "before")
    local session = page.start("chat.mjs", router.url .. "/")
    assert.same({ { "Cy", "before" } }, session:wait_report "here")
    assert.matches("^Not sent: wanted: a name", session:wait_report "refused")
    assert.same({ "Ada" }, session:wait_report "mine")
    assert.same({ { "Cy", "before" }, { "Ada", "<b>Hello</b>" }, { "Bo", "Hi Ada" } }, session:finish())
  end)
end)
