local support = require "spec.lua.support"
local range = require "sse.range"

describe("range.parse", function()
  local cases = {
    { "bytes=0-9", 100, 0, 10 }, { "bytes=5-5", 100, 5, 1 }, { "bytes=90-", 100, 90, 10 },
    { "bytes=-10", 100, 90, 10 }, { "bytes=-1000", 100, 0, 100 }, { "bytes=50-1000", 100, 50, 50 },
    { "bytes=0-0", 1, 0, 1 }, { "Bytes=1-2", 100, 1, 2 }, { "bytes= 1-2 ", 100, 1, 2 },
    { "bytes=0-99999999999999999999999", 100, 0, 100 }, { "bytes=-99999999999999999999999", 100, 0, 100 },
    { "bytes=007-008", 100, 7, 2 },
  }
  for _, case in ipairs(cases) do
    it("takes " .. case[1], function()
      assert.same({ case[3], case[4] }, { range.parse(case[1], case[2]) })
    end)
  end

  for _, case in ipairs {
    { "bytes=100-", 100 }, { "bytes=100-200", 100 }, { "bytes=99999999999999999999999-", 100 }, { "bytes=-0", 100 },
    { "bytes=0-", 0 }, { "bytes=-1", 0 },
  } do
    it("cannot satisfy " .. case[1] .. " of " .. case[2], function()
      assert.same({ nil, "unsatisfiable" }, { range.parse(case[1], case[2]) })
    end)
  end

  it("sends all where the header means nothing", function()
    for _, header in ipairs {
      "", "bytes", "bytes=", "bytes=-", "bytes=9-0", "bytes=a-b", "bytes=0x1-2", "bytes=1--2", "bytes=--5", "lines=0-5",
      "bytes=0-1,5-6", "bytes=0-1,", "bytes 0-1", "bytes=1.5-2", "bytes=+1-2", "bytes=1-2\0",
    } do
      assert.same({}, { range.parse(header, 100) }, header)
    end
    assert.same({}, { range.parse(nil, 100) })
  end)

  --- The bytes below `size` for which `is_wanted` holds, as text.
  local function bytes(size, is_wanted)
    local list = {}
    for byte = 0, size - 1 do
      list[#list + 1] = is_wanted(byte) and byte or nil
    end
    return table.concat(list, " ")
  end

  local function digits()
    return math.random(3) == 1 and "" or tostring(math.random(0, 12))
  end

  it("agrees with a set of the bytes wanted", function()
    support.seed "ranges"
    for _ = 1, 20000 do
      local size, first, last = math.random(0, 10), digits(), digits()
      local from, to = tonumber(first), tonumber(last)
      local wanted = bytes(size, function(byte)
        return from and byte >= from and byte <= (to or size) or not from and to and byte >= size - to
      end)
      local offset, length = range.parse("bytes=" .. first .. "-" .. last, size)
      local sent = offset and bytes(size, function(byte)
        return byte >= offset and byte < offset + length
      end)
      if not (from or to) or from and to and from > to then
        assert(not offset and not length)
      elseif wanted == "" then
        assert.equal("unsatisfiable", length)
      else
        assert.equal(wanted, sent)
      end
    end
  end)
end)
