-- scripts/lines.lua: lines from bytes, however they are cut.

local support = require "spec.lua.support"
local lines = require "sse.lines"

--- Everything that comes of these pieces, and what is left.
local function split(pieces, longest)
  local reader, found = lines.new(longest), {}
  for _, piece in ipairs(pieces) do
    reader:feed(piece)
    local line = reader:next()
    while line ~= nil do
      found[#found + 1] = line
      line = reader:next()
    end
  end
  return found, reader:rest()
end

local function cut(text)
  local pieces, from = {}, 1
  while from <= #text do
    local to = math.min(#text, from + math.random(0, 9))
    pieces[#pieces + 1] = text:sub(from, to)
    from = to + 1
  end
  return pieces
end

describe("lines", function()
  it("end with LF or CRLF", function()
    local found, rest = split { "one\ntwo\r\n\n\r\n\rthree\r\r\nfour" }
    assert.same({ "one", "two", "", "", "\rthree\r" }, found)
    assert.equal("four", rest)
    assert.same({}, (split { "" }))
  end)

  it("are the same wherever the bytes are cut", function()
    support.seed "lines"
    local alphabet = { "\n", "\r", "\r\n", "a", "bc", ("d"):rep(30) }
    for _ = 1, 500 do
      local parts = {}
      for index = 1, math.random(0, 40) do
        parts[index] = alphabet[math.random(#alphabet)]
      end
      local text = table.concat(parts)
      local whole, whole_rest = split({ text }, 50)
      local found, rest = split(cut(text), 50)
      assert.same(whole, found, ("%q"):format(text))
      -- The rest of a line that is too long is left out as soon as that is known.
      assert.is_true(rest == whole_rest or #whole_rest > 50, ("%q"):format(text))
    end
  end)

  it("that are too long are left out, and told of once and at once", function()
    local reader = lines.new(5)
    reader:feed "abc"
    assert.is_nil(reader:next())
    reader:feed "def"
    assert.is_false(reader:next())
    assert.is_nil(reader:next())
    reader:feed "ghi"
    assert.is_nil(reader:next())
    assert.equal(0, reader:pending())
    reader:feed "jkl\n12345\n123456\nxy"
    assert.equal("12345", reader:next())
    assert.is_false(reader:next())
    assert.is_nil(reader:next())
    assert.equal(2, reader:pending())
    assert.equal("xy", reader:rest())
    assert.equal("", reader:rest())
  end)

  it("that were fed and not taken can be had back", function()
    local reader = lines.new()
    reader:feed "begun "
    assert.is_nil(reader:next())
    reader:feed "here\nsecond\nthird"
    assert.equal(6 + 17, reader:pending())
    assert.equal("begun here", reader:next())
    assert.equal(12, reader:pending())
    assert.equal("second\nthird", reader:rest())
    assert.is_nil(reader:next())
  end)

  it("may begin to count with the next one", function()
    local reader = lines.new()
    reader:skip()
    reader:feed "the end of one\ntwo\n"
    assert.equal("two", reader:next())
  end)
end)
