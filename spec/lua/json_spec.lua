local support = require "spec.lua.support"
local json = require "sse.json"

local function same_number(a, b)
  return a == b and math.type(a) == math.type(b)
end

local function random_integer()
  local pick = math.random(4)
  if pick == 1 then
    return math.random(0) -- any of 64 bits
  elseif pick == 2 then
    return math.random(-1000, 1000)
  end
  local power = 1 << math.random(0, 63)
  return math.random(0, 1) == 0 and power + math.random(-2, 2) or -power + math.random(-2, 2)
end

local function random_float()
  if math.random(3) == 1 then
    return math.random(-1000000, 1000000) / 10 ^ math.random(0, 8)
  end
  local number
  repeat
    number = string.unpack("d", string.pack("j", math.random(0)))
  until number - number == 0
  return number
end

local function random_text()
  local chars = {}
  for i = 1, math.random(0, 12) do
    local highest = ({ 0x7F, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF })[math.random(5)]
    local code
    repeat
      code = math.random(0, highest)
    until code < 0xD800 or code > 0xDFFF
    chars[i] = utf8.char(code)
  end
  return table.concat(chars)
end

local function random_value(depth)
  local pick = math.random(depth > 0 and 8 or 6)
  if pick == 1 then
    return random_integer()
  elseif pick == 2 then
    return random_float()
  elseif pick <= 4 then
    return random_text()
  elseif pick <= 6 then
    return ({ true, false, json.null })[math.random(3)]
  end
  local value = pick == 7 and json.array {} or {}
  for i = 1, math.random(0, 5) do
    value[pick == 7 and i or random_text()] = random_value(depth - 1)
  end
  return value
end

local function message_of(value, root)
  local text, message = json.try_encode(value, root)
  assert.is_nil(text)
  return message
end

describe("json.encode", function()
  local plain = {
    { {}, "{}" }, { json.array {}, "[]" }, { { 1, 2 }, "[1,2]" }, { json.array { 1 }, "[1]" },
    { { { {} } }, "[[{}]]" }, { { a = json.null }, '{"a":null}' }, { "a/b", '"a/b"' },
    { "\\/ \\\\/", '"\\\\/ \\\\\\\\/"' }, { '"\n\t\r\0\27', '"\\"\\n\\t\\r\\u0000\\u001b"' },
    { "\u{2028}\u{1F600}", '"\u{2028}\u{1F600}"' }, { true, "true" }, { false, "false" }, { json.null, "null" },
    { 0, "0" }, { -1, "-1" }, { math.maxinteger, "9223372036854775807" }, { math.mininteger, "-9223372036854775808" },
    { 1.0, "1" }, { -0.0, "-0.0" }, { 0.1, "0.1" }, { 1.5, "1.5" }, { 1e300, "1e+300" },
    { 2 ^ 53, "9007199254740992" }, { 1 / 3, "0.3333333333333333" }, { 100000000000001, "100000000000001" },
    { { ["odd/key\n"] = 1 }, '{"odd/key\\n":1}' }, { { [""] = "" }, '{"":""}' },
  }
  for _, pair in ipairs(plain) do
    it("writes " .. pair[2], function()
      assert.equal(pair[2], json.encode(pair[1]))
      assert.equal(pair[2], json.encode(pair[1]))
    end)
  end

  local function f() end
  local wrong = {
    { { items = { 1, 2, { price = 0 / 0 } } }, "data.items[3].price: NaN cannot be sent as JSON" },
    { { a = { b = math.huge } }, "data.a.b: infinity cannot be sent as JSON" },
    { -math.huge, "data: infinity cannot be sent as JSON" },
    { { callback = f }, "data.callback: a function cannot be sent as JSON" },
    { { io.stdout }, "data[1]: a userdata cannot be sent as JSON" },
    { { t = coroutine.create(f) }, "data.t: a coroutine cannot be sent as JSON" },
    { nil, "data: nil cannot be sent as JSON" },
    { { name = "abc\xff" }, "data.name: text that is not UTF-8 (byte 4) cannot be sent as JSON" },
    { { ["k\xe4"] = 1 }, 'data["k\\xE4"]: the key is text that is not UTF-8 (byte 2) cannot be sent as JSON' },
    { { surrogate = "\xed\xa0\x80" }, "data.surrogate: text that is not UTF-8 (byte 1) cannot be sent as JSON" },
    { { 1, 2, nil, 4 }, "data[3]: a list with a hole cannot be sent as JSON" },
    { { 1, [3] = 3, [5] = 5 }, "data[2]: a list with a hole cannot be sent as JSON" },
    { { 1, 2, n = 2 }, "data.n: a list that also has named fields cannot be sent as JSON" },
    { json.array { x = 1 }, "data.x: a list that also has named fields cannot be sent as JSON" },
    { { 1, [0] = 0 }, "data[0]: a key that is neither text nor a place in a list cannot be sent as JSON" },
    { { 1, [1.5] = 0 }, "data[1.5]: a key that is neither text nor a place in a list cannot be sent as JSON" },
    { { [10] = "x" }, "data[10]: a table with number keys cannot be sent as JSON, only text keys or a list" },
    { { [true] = 1 }, "data[true]: a table with boolean keys cannot be sent as JSON, only text keys or a list" },
    { { ["a b"] = { c = f } }, 'data["a b"].c: a function cannot be sent as JSON' },
  }
  for _, pair in pairs(wrong) do
    it("refuses with " .. pair[2], function()
      assert.equal(pair[2], message_of(pair[1], "data"))
    end)
  end

  it("names a cycle", function()
    local node = { children = { {} } }
    node.children[1].parent = node
    assert.equal("data.children[1].parent: a table that contains itself cannot be sent as JSON",
      message_of(node, "data"))
    local shared = { 1 }
    assert.equal("[[1],[1]]", json.encode { shared, shared })
  end)

  it("has a limit of nesting, told from a cycle", function()
    local function nested(levels)
      local value = 1
      for _ = 1, levels do
        value = { value }
      end
      return value
    end
    assert.equal(("["):rep(64) .. "1" .. ("]"):rep(64), json.encode(nested(64)))
    assert.match(": nested deeper than 64 tables$", message_of(nested(65)))
    assert.match(": nested deeper than 64 tables$", message_of(nested(100000)))
  end)

  it("raises at the script's line", function()
    local message = support.message(function()
      json.encode({ x = 0 / 0 }, "data")
    end)
    local line = debug.getinfo(1, "l").currentline - 2
    assert.match("json_spec%.lua:" .. line .. ": data%.x: NaN cannot be sent as JSON$", message)
  end)

  it("is not disturbed by a failure before", function()
    message_of { "left", "over", { f } }
    assert.equal('["new"]', json.encode { "new" })
  end)

  it("looks at raw fields only", function()
    local proxy = setmetatable({ real = 1 }, { __index = { 1, 2, 3 }, __pairs = error, __len = error })
    assert.equal('{"real":1}', json.encode(proxy))
  end)

  it("keeps no more keys than it should", function()
    for i = 1, 5000 do
      local key = "key " .. i
      assert.equal('{"' .. key .. '":1}', json.encode { [key] = 1 })
    end
  end)

  it("is deaf to the shared cjson's settings", function()
    local cjson = require "cjson"
    cjson.encode_number_precision(3)
    assert.equal('{"x":0.12345678}', json.encode { x = 0.12345678 })
    cjson.encode_number_precision(14)
  end)
end)

describe("json.decode", function()
  local good = {
    { "1", 1 }, { " \n\t\r1 ", 1 }, { "-0", 0 }, { "1.0", 1.0 }, { "1e3", 1000.0 }, { "1E+2", 100.0 },
    { "-12.5e-1", -1.25 }, { "9223372036854775807", math.maxinteger }, { "-9223372036854775808", math.mininteger },
    { "9223372036854775808", 2.0 ^ 63 }, { "1e-400", 0.0 }, { '"\\u00e4\\ud83d\\ude00\\/\\u0000"', "ä😀/\0" },
    { '"a\127b"', "a\127b" }, { '"\\"\127"', '"\127' }, { "true", true }, { "false", false },
  }
  for _, pair in ipairs(good) do
    it("reads " .. pair[1], function()
      local value, message = json.decode(pair[1])
      assert.is_nil(message)
      assert.equal(pair[2], value)
      assert.equal(math.type(pair[2]), math.type(value))
    end)
  end

  local bad = {
    { "", "the text ends too early at line 1, column 1" }, { "NaN", "unexpected 'N' at line 1, column 1" },
    { "nan", "unexpected 'n'" }, { "Infinity", "unexpected 'I'" }, { "-Infinity", "unexpected 'I'" },
    { "0x10", "unexpected 'x' at line 1, column 2" }, { "01", "a malformed number" }, { "-01", "a malformed number" },
    { "1.", "a malformed number" }, { "1.e5", "a malformed number" }, { ".5", "unexpected '.'" },
    { "+1", "unexpected '+'" }, { "-", "ends too early" }, { "- 1", "unexpected character at line 1, column 2" },
    { "1e", "a malformed number" }, { "1-2", "a malformed number" }, { "1e999", "a number too large" },
    { "1 2", "unexpected '2' at line 1, column 3" }, { "{} x", "unexpected 'x'" }, { "[1,]", "unexpected ']'" },
    { "[,1]", "unexpected ','" }, { "[1 2]", "unexpected '2'" }, { '{"a":1,}', "unexpected '}'" },
    { "{a:1}", "unexpected 'a'" }, { '{"a" 1}', "unexpected '1'" }, { '{"a":}', "unexpected '}'" },
    { "{1:2}", "unexpected '1'" }, { '{"a":1', "ends too early at line 1, column 7" }, { "[", "ends too early" },
    { "nul", "unexpected 'n'" }, { "True", "unexpected 'T'" }, { "'a'", "unexpected '''" },
    { '"abc', "a string without an end at line 1, column 1" }, { '"abc\\"', "a string without an end" },
    { '"a\tb"', "a control character in a string at line 1, column 3" }, { '"\\q"', "invalid escape" },
    { '"a\0b"', "a control character" }, { '"\\ud800"', "invalid escape" }, { '"\\u12"', "invalid escape" },
    { '"\xff"', "text that is not UTF-8 at line 1, column 2" }, { "\u{FEFF}1", "unexpected character" },
    { '{\n  "ä": x}', "unexpected 'x' at line 2, column 8" }, { "[1]\0", "unexpected character" },
    { "/* no */ 1", "unexpected '/'" }, { "[1}", "unexpected '}'" }, { '{"a":1]', "unexpected ']'" },
    { ("["):rep(65) .. ("]"):rep(65), "nested too deep at line 1, column 65" },
    { ("["):rep(1000000), "nested too deep" }, { ('{"a":'):rep(100000), "nested too deep" },
    { 12, "JSON must be a string, got number" },
  }
  for _, pair in ipairs(bad) do
    it("refuses " .. tostring(pair[1]):sub(1, 20):gsub("%c", "?"), function()
      local value, message = json.decode(pair[1])
      assert.is_nil(value)
      assert.is_truthy(message:find(pair[2], 1, true), message)
    end)
  end

  it("gives null a value", function()
    assert.equal(json.null, json.decode "null")
    assert.same({ a = json.null }, json.decode '{"a":null}')
  end)

  it("keeps lists lists and objects objects", function()
    for _, text in ipairs { "[]", "{}", "[[],{}]", '{"a":[]}', "[null]" } do
      assert.equal(text, json.encode(json.decode(text)))
    end
    local list = json.decode "[1]"
    list[1] = nil
    assert.equal("[]", json.encode(list))
  end)

  it("takes the last of repeated keys", function()
    assert.same({ a = 2 }, json.decode '{"a":1,"a":2}')
  end)

  it("lets errors of others pass", function()
    local thread = coroutine.create(json.decode)
    debug.sethook(thread, function()
      error("over budget", 0)
    end, "", 50)
    local ok, message = coroutine.resume(thread, "[" .. ("1,"):rep(1000) .. "1]")
    assert.is_false(ok)
    assert.equal("over budget", message)
  end)
end)

describe("json round trip", function()
  local function returns(value)
    local back, message = json.decode(json.encode(value))
    assert.is_nil(message)
    return back
  end

  it("keeps integers", function()
    support.seed "integers"
    for _ = 1, 20000 do
      local number = random_integer()
      assert(same_number(number, returns(number)), number)
    end
  end)

  it("keeps the value of floats", function()
    support.seed "floats"
    for _ = 1, 20000 do
      local number = random_float()
      local back = returns(number)
      assert(back == number and 1 / back == 1 / number, ("%a"):format(number))
    end
  end)

  it("keeps text", function()
    support.seed "text"
    for _ = 1, 20000 do
      local text = random_text()
      assert(returns(text) == text, ("%q"):format(text))
    end
  end)

  it("keeps trees", function()
    support.seed "trees"
    for _ = 1, 2000 do
      local value = random_value(4)
      assert.same(value, returns(value))
    end
  end)

  it("writes what cjson reads alike", function()
    support.seed "cjson"
    local cjson = require "cjson"
    for _ = 1, 2000 do
      local text = json.encode { random_text(), random_float() }
      assert.same(cjson.decode(text), json.decode(text))
    end
  end)

  it("takes or refuses random bytes, never more", function()
    support.seed "bytes"
    local pieces = { "{", "}", "[", "]", ",", ":", '"', "\\", "1", "-", ".", "e", "0", " ", "null", "\xff", "\n", "u" }
    for _ = 1, 20000 do
      local chars = {}
      for i = 1, math.random(8) do
        chars[i] = pieces[math.random(#pieces)]
      end
      local text = table.concat(chars)
      local value, message = json.decode(text)
      assert(value ~= nil or type(message) == "string", text)
      assert(value == nil or json.encode(value), text)
    end
  end)
end)

describe("json.array", function()
  it("gives back its table", function()
    local list = { 1 }
    assert.equal(list, json.array(list))
  end)

  it("wants a table", function()
    assert.match("sse%.array: argument 1 %(list%) must be a table, got nil$", support.message(json.array, nil))
  end)
end)
