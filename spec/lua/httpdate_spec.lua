local support = require "spec.lua.support"
local httpdate = require "sse.httpdate"

describe("httpdate", function()
  it("writes and reads the preferred form", function()
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", httpdate.format(784111777))
    assert.equal(784111777, httpdate.parse "Sun, 06 Nov 1994 08:49:37 GMT")
  end)

  it("reads the two old forms", function()
    assert.equal(784111777, httpdate.parse "Sunday, 06-Nov-94 08:49:37 GMT")
    assert.equal(784111777, httpdate.parse "Sun Nov  6 08:49:37 1994")
    assert.equal(1700000000, httpdate.parse "Tue Nov 14 22:13:20 2023")
  end)

  it("refuses what is no date", function()
    for _, text in ipairs {
      "", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 06 Xxx 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 GMT x", "784111777",
    } do
      assert.is_nil(httpdate.parse(text), text)
    end
  end)

  it("reads back what it writes", function()
    support.seed "dates"
    for _ = 1, 5000 do
      local seconds = math.random(-2000000000, 8000000000)
      assert.equal(seconds, httpdate.parse(httpdate.format(seconds)))
    end
  end)
end)
