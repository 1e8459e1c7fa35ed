print("static code runs")

raise Exception("Runtime startup fails")
