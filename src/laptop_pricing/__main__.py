from laptop_pricing.cli import main

main()
