-- JSON as scripts meet it: results of handlers, data of events, bodies of requests. What cannot be sent is a mistake
-- that names its path.

local http = require "spec.support.http"
local server = require "spec.support.server"

describe("JSON of a script", function()
  local router

  setup(function()
    router = server.start [[
local sse = require "sse"
sse.post("/encode", function(req)
  return (assert(load("local sse = ... return " .. req.body, "=value"))(sse))
end)
sse.post("/try", function(req)
  local value = assert(load("local sse = ... return " .. req.body, "=value"))(sse)
  return select(2, pcall(sse.json.encode, value, "value"))
end)
sse.post("/again", function(req) return { value = req:json() } end)
sse.get("/statement", function()
  local cycle = { name = "a" }
  cycle.inner = { cycle }
  return cycle
end)
]]
  end)
  teardown(server.stop_all)

  local function encode(expression)
    local response = http.post(router.port, "/encode", expression)
    return response.status == 200 and response.body or response.status
  end

  it("tells objects from lists", function()
    for expression, text in pairs {
      ["{}"] = "{}",
      ["sse.array {}"] = "[]",
      ["{ 1, 2, 3 }"] = "[1,2,3]",
      ["{ {} }"] = "[{}]",
      ["{ sse.array {} }"] = "[[]]",
      ["{ a = sse.array {} }"] = '{"a":[]}',
      ["sse.array { 1 }"] = "[1]",
      ["{ [1] = 'a' }"] = '["a"]',
      ["{ ['1'] = 'a' }"] = '{"1":"a"}',
      ["{ a = sse.null }"] = '{"a":null}',
      ["{ a = true, }"] = '{"a":true}',
    } do
      assert.equal(text, encode(expression), expression)
    end
  end)

  it("keeps numbers as they are", function()
    for expression, text in pairs {
      ["{ 1 }"] = "[1]",
      ["{ 1.0 }"] = "[1]",
      ["{ 1.5 }"] = "[1.5]",
      ["{ -0.1 }"] = "[-0.1]",
      ["{ 0.1 + 0.2 }"] = "[0.30000000000000004]",
      ["{ 9007199254740993 }"] = "[9007199254740993]",
      ["{ math.maxinteger, math.mininteger }"] = "[9223372036854775807,-9223372036854775808]",
      ["{ 1e300 }"] = "[1e+300]",
      ["{ 2^53 }"] = "[9007199254740992]",
    } do
      assert.equal(text, encode(expression), expression)
    end
  end)

  it("escapes what must be", function()
    assert.equal([=[["\"\\\n\u0000\u007f/€😀"]]=], encode [[{ "\"\\\n\0\x7f/€😀" }]])
  end)

  it("names the path of what cannot be sent", function()
    for expression, message in pairs {
      ["{ a = { b = { 1, 0/0 } } }"] = "value.a.b[2]: NaN cannot be sent as JSON",
      ["{ a = 1/0 }"] = "value.a: infinity cannot be sent as JSON",
      ["{ f = print }"] = "value.f: a function cannot be sent as JSON",
      ["{ io.stdout }"] = "value[1]: a userdata cannot be sent as JSON",
      ["{ c = coroutine.create(print) }"] = "value.c: a coroutine cannot be sent as JSON",
      ["{ ['a b'] = { ['\\n'] = print } }"] = 'value["a b"]["\\x0A"]: a function cannot be sent as JSON',
      ["{ 1, nil, 3 }"] = "value[2]: a list with a hole cannot be sent as JSON",
      ["{ 1, x = 2 }"] = "value.x: a list that also has named fields cannot be sent as JSON",
      ["{ [true] = 1 }"] = "value[true]: a table with boolean keys cannot be sent as JSON",
      ["{ [1.5] = 1 }"] = "value[1.5]: a table with number keys cannot be sent as JSON",
      ["{ text = 'a\\xff' }"] = "value.text: text that is not UTF-8 (byte 2) cannot be sent as JSON",
    } do
      assert.equal(500, encode(expression))
      local told = http.post(router.port, "/try", expression).body
      assert.truthy(told:find(message, 1, true), told)
    end
    http.get(router.port, "/statement")
    router:wait_log "GET /statement: %S*script.lua:%d+: response.inner%[1%]: a table that contains itself"
  end)

  it("gives back what a request's body said", function()
    for _, text in ipairs {
      '{"value":[]}', '{"value":{}}',
      '{"value":[1,2.5,-3]}', '{"value":9007199254740993}', '{"value":[null,true,false]}',
      '{"value":"\\u0000é😀"}', '{"value":{"a":{"b":[[],{}]}}}',
    } do
      local body = text:match '^{"value":(.*)}$'
      assert.equal(text, http.post(router.port, "/again", body).body)
    end
  end)
end)
